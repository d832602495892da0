//! Properties of every advert and of any bytes.

use std::net::IpAddr;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tidegate_vrrp::Received;
use tidegate_vrrp::config::{Checksum, Version};
use tidegate_vrrp::packet::{Advert, Malformed, decode, encode, router_id};

use crate::hostile;

/// An advert and whether it goes over IPv4.
fn advert() -> impl Strategy<Value = (Advert, bool)> {
    let ipv4 = || vec(any::<[u8; 4]>().prop_map(IpAddr::from), 1..=255);
    let ipv6 = || vec(any::<[u8; 16]>().prop_map(IpAddr::from), 1..=255);
    let said = (any::<u8>(), any::<u8>());
    let old = (said, 1..=255_u64, ipv4(), any::<Option<[u8; 8]>>()).prop_map(
        |((router_id, priority), seconds, addresses, authentication)| {
            let (interval, addresses) = (Duration::from_secs(seconds), addresses.into());
            Advert { version: Version::V2, router_id, priority, interval, addresses, authentication }
        },
    );
    let new = |addresses: BoxedStrategy<Vec<IpAddr>>| {
        (said, 1..=4095_u64, addresses).prop_map(|((router_id, priority), hundredths, addresses)| {
            let (interval, addresses) = (Duration::from_millis(10 * hundredths), addresses.into());
            Advert { version: Version::V3, router_id, priority, interval, addresses, authentication: None }
        })
    };
    prop_oneof![
        old.prop_map(|advert| (advert, true)),
        new(ipv4().boxed()).prop_map(|advert| (advert, true)),
        new(ipv6().boxed()).prop_map(|advert| (advert, false)),
    ]
}

fn way(is_ipv4: bool) -> impl Strategy<Value = [IpAddr; 2]> {
    if is_ipv4 {
        any::<[[u8; 4]; 2]>().prop_map(|ends| ends.map(IpAddr::from)).boxed()
    } else {
        any::<[[u8; 16]; 2]>().prop_map(|ends| ends.map(IpAddr::from)).boxed()
    }
}

fn sent() -> impl Strategy<Value = (Advert, [IpAddr; 2], Vec<u8>)> {
    let advert = advert().prop_flat_map(|(advert, is_ipv4)| (Just(advert), way(is_ipv4), any::<bool>()));
    advert.prop_map(|(advert, [source, destination], whole)| {
        let checksum = if whole { Checksum::PseudoHeader } else { Checksum::Message };
        let mut message = vec![0xff; 3];
        encode(&advert, checksum, source, destination, &mut message);
        (advert, [source, destination], message)
    })
}

fn received<'a>([source, destination]: [IpAddr; 2], message: &'a [u8]) -> Received<'a> {
    Received { interface: "eth0", source, destination, ttl: 255, message }
}

proptest! {
    #[test]
    fn what_is_written_is_read((advert, way, message) in sent(), padding in vec(any::<u8>(), 0..50)) {
        let padded = [message, padding].concat();
        prop_assert_eq!(router_id(&padded), Some(advert.router_id));
        prop_assert_eq!(decode(advert.version, &received(way, &padded)), Ok(advert));
    }

    #[test]
    fn a_part_of_a_message_is_too_short((advert, way, message) in sent(), part in 0.0..1.0) {
        let part = &message[..(message.len() as f64 * part) as usize];
        let answer = decode(advert.version, &received(way, part));
        let too_short = matches!(answer, Err(Malformed::Length { found, .. }) if found == part.len());
        prop_assert!(too_short, "{:?}", answer);
    }

    /// The checksum tells of every bit, apart from those that say how to read the message.
    #[test]
    fn no_bit_may_differ((advert, is_ipv4) in advert(), at in any::<prop::sample::Index>()) {
        // Ends whose pseudo-header is not as good as one bit.
        let way = if is_ipv4 { ["192.0.2.1", "224.0.0.18"] } else { ["fe80::1", "ff02::12"] };
        let way = way.map(|end| end.parse().unwrap());
        let mut message = Vec::new();
        encode(&advert, Checksum::PseudoHeader, way[0], way[1], &mut message);
        let bit = at.index(message.len() * 8);
        message[bit / 8] ^= 1 << (bit % 8);
        let answer = decode(advert.version, &received(way, &message));
        let as_expected = match bit {
            0..4 => matches!(answer, Err(Malformed::Type(_))),
            4..8 => matches!(answer, Err(Malformed::Version(_))),
            24..32 => answer != Ok(advert),
            _ => answer == Err(Malformed::Checksum),
        };
        prop_assert!(as_expected, "bit {}: {:?}", bit, answer);
    }

    #[test]
    fn the_other_version_is_refused((advert, way, message) in sent()) {
        let (other, found) = match advert.version {
            Version::V2 => (Version::V3, 2),
            Version::V3 => (Version::V2, 3),
        };
        prop_assert_eq!(decode(other, &received(way, &message)), Err(Malformed::Version(found)));
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..300)) {
        hostile::check(&bytes);
    }

    #[test]
    fn bytes_in_place_of_others_are_survived(
        (_, _, mut message) in sent(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        hostile::check(&message);
    }
}
