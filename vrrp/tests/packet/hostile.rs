//! What has to hold for any bytes at all; the fuzz target asserts the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tidegate_vrrp::Received;
use tidegate_vrrp::config::{Checksum, Version};
use tidegate_vrrp::packet::{decode, encode};

const WAYS: [[IpAddr; 2]; 2] = [
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18))],
    [
        IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
        IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
    ],
];

/// Nothing panics, and what was understood is understood the same after it was written again. As few bytes have a
/// right checksum, the same is asserted of them with one put in.
pub(crate) fn check(bytes: &[u8]) {
    for way in WAYS {
        for version in [Version::V2, Version::V3] {
            check_as(version, way, bytes);
            let mut mended = bytes.to_vec();
            if mend(version, way, &mut mended).is_some() {
                check_as(version, way, &mended);
            }
        }
    }
}

fn check_as(version: Version, [source, destination]: [IpAddr; 2], message: &[u8]) {
    let received = Received { interface: "eth0", source, destination, ttl: 255, message };
    let Ok(advert) = decode(version, &received) else { return };
    for checksum in [Checksum::PseudoHeader, Checksum::Message] {
        let mut written = Vec::new();
        encode(&advert, checksum, source, destination, &mut written);
        assert!(written.len() <= message.len());
        let again = Received { message: &written, ..received };
        assert_eq!(decode(version, &again).as_ref(), Ok(&advert));
    }
}

/// Puts the right checksum in, worked out here once more, if the bytes are long enough for what they claim to be.
fn mend(version: Version, [source, destination]: [IpAddr; 2], bytes: &mut [u8]) -> Option<()> {
    let address = if source.is_ipv4() { 4 } else { 16 };
    let trailer = if version == Version::V2 { 8 } else { 0 };
    let length = 8 + address * usize::from(*bytes.get(3)?) + trailer;
    let message = bytes.get_mut(..length)?;
    message[6..8].fill(0);
    let mut covered = Vec::new();
    if version == Version::V3 {
        for end in [source, destination] {
            match end {
                IpAddr::V4(end) => covered.extend(end.octets()),
                IpAddr::V6(end) => covered.extend(end.octets()),
            }
        }
        covered.extend([0, 112]);
        covered.extend((length as u16).to_be_bytes());
    }
    covered.extend_from_slice(message);
    let ones_complement = |sum: u16, pair: &[u8]| {
        let (sum, carry) = sum.overflowing_add(u16::from_be_bytes([pair[0], pair[1]]));
        sum + u16::from(carry)
    };
    let checksum = !covered.chunks(2).fold(0, ones_complement);
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
    Some(())
}
