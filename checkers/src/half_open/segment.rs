//! Segments on the wire (RFC 9293 §3.1).

use std::net::{IpAddr, SocketAddr};

use crate::checksum::checksum;

const TCP: u8 = 6;
/// A TCP header with one option, the maximum segment size.
const LENGTH: usize = 24;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// SYN-ACK.
    Open,
    /// A reset.
    Refused,
}

/// The answer to a SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    /// Whose: the server's port.
    pub(super) port: u16,
    /// The sequence number of the SYN.
    pub(super) sequence: u32,
}

/// A SYN with its IP header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet {
    bytes: [u8; 40 + LENGTH],
    /// Where the addresses begin, which the segment follows.
    addresses: usize,
    length: usize,
}

impl Packet {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn new(head: &[u8], source: &[u8], target: &[u8], segment: [u8; LENGTH]) -> Self {
        let mut this = Self { bytes: [0; 40 + LENGTH], addresses: head.len(), length: 0 };
        for part in [head, source, target, &segment] {
            this.bytes[this.length..this.length + part.len()].copy_from_slice(part);
            this.length += part.len();
        }
        let (addresses, segment) = this.bytes[this.addresses..this.length].split_at(source.len() * 2);
        // The pseudo header of RFC 9293 §3.1 and that of RFC 8200 §8.1 have the same sum.
        let sum = checksum(&[addresses, &[0, TCP, 0, LENGTH as u8], segment]);
        let place = this.length - LENGTH + 16;
        this.bytes[place..place + 2].copy_from_slice(&sum);
        this
    }
}

/// A SYN from our `port`. The addresses are of one family.
pub(super) fn syn(source: IpAddr, target: SocketAddr, port: u16, sequence: u32) -> Packet {
    let mut segment = [0; LENGTH];
    segment[..2].copy_from_slice(&port.to_be_bytes());
    segment[2..4].copy_from_slice(&target.port().to_be_bytes());
    segment[4..8].copy_from_slice(&sequence.to_be_bytes());
    segment[12] = (LENGTH as u8 / 4) << 4;
    segment[13] = SYN;
    segment[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    segment[20..22].copy_from_slice(&[2, 4]);
    let most: u16 = if target.is_ipv4() { 1460 } else { 1440 };
    segment[22..].copy_from_slice(&most.to_be_bytes());
    match (source, target.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            // Not to be fragmented; the kernel puts in an identification and the header's checksum.
            let head = [0x45, 0, 0, 20 + LENGTH as u8, 0, 0, 0x40, 0, 64, TCP, 0, 0];
            Packet::new(&head, &source.octets(), &target.octets(), segment)
        }
        (source, target) => {
            let octets = |address: IpAddr| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                IpAddr::V6(address) => address.octets(),
            };
            let head = [0x60, 0, 0, 0, 0, LENGTH as u8, TCP, 64];
            Packet::new(&head, &octets(source), &octets(target), segment)
        }
    }
}

/// The answer in what a raw socket has heard: with the IP header for IPv4, without for IPv6. None where this is
/// something else.
pub(super) fn answer(v4: bool, heard: &[u8]) -> Option<Answer> {
    let segment = if v4 { heard.get(usize::from(heard.first()? & 15) * 4..)? } else { heard };
    let header = segment.first_chunk::<20>()?;
    let kind = match header[13] & (SYN | RST | ACK) {
        flags if flags == SYN | ACK => Kind::Open,
        flags if flags == RST | ACK => Kind::Refused,
        _ => return None,
    };
    let acknowledged = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    let port = u16::from_be_bytes([header[0], header[1]]);
    Some(Answer { kind, port, sequence: acknowledged.wrapping_sub(1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_syn_over_ipv4() {
        let packet = syn([192, 0, 2, 1].into(), "192.0.2.2:80".parse().unwrap(), 40_000, 0x0102_0304);
        let packet = packet.bytes();
        assert_eq!(packet.len(), 44);
        assert!(packet.starts_with(b"\x45\0\0\x2c\0\0\x40\0\x40\x06\0\0\xc0\0\x02\x01\xc0\0\x02\x02"));
        let segment = &packet[20..];
        assert!(segment.starts_with(b"\x9c\x40\0\x50\x01\x02\x03\x04\0\0\0\0\x60\x02\xff\xff"));
        assert_eq!(checksum(&[&packet[12..20], &[0, 6, 0, 24], segment]), [0, 0]);
    }

    #[test]
    fn a_syn_over_ipv6() {
        let target: SocketAddr = "[2001:db8::2]:443".parse().unwrap();
        let packet = syn("2001:db8::1".parse().unwrap(), target, 40_000, 7);
        let packet = packet.bytes();
        assert_eq!(packet.len(), 64);
        assert!(packet.starts_with(b"\x60\0\0\0\0\x18\x06\x40\x20\x01\x0d\xb8"));
        assert_eq!(checksum(&[&packet[8..40], &[0, 0, 0, 24, 0, 0, 0, 6], &packet[40..]]), [0, 0]);
    }

    fn heard(flags: u8) -> Vec<u8> {
        [b"\0\x50\x9c\x40\0\0\0\x09\0\0\0\x08\x50".as_slice(), &[flags], &[0; 6]].concat()
    }

    #[test]
    fn answers() {
        let open = Answer { kind: Kind::Open, port: 80, sequence: 7 };
        assert_eq!(answer(false, &heard(SYN | ACK)), Some(open));
        let refused = Answer { kind: Kind::Refused, ..open };
        assert_eq!(answer(true, &[&[0x46][..], &[0; 23], &heard(RST | ACK)].concat()), Some(refused));
        for flags in [ACK, SYN, RST, SYN | RST | ACK] {
            assert_eq!(answer(false, &heard(flags)), None);
        }
        assert_eq!(answer(false, &heard(SYN | ACK)[..19]), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80), v4 in any::<bool>()) {
            let flags = if v4 { bytes.get(usize::from(bytes.first().map_or(0, |it| it & 15)) * 4 + 13) } else { bytes.get(13) };
            let is_answer = flags.is_some_and(|it| [SYN | ACK, RST | ACK].contains(&(it & (SYN | RST | ACK))));
            prop_assert!(is_answer || answer(v4, &bytes).is_none());
        }
    }
}
