use proptest::prelude::*;

use super::*;

const MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];

#[test]
fn an_arp_request_of_the_address_for_itself() {
    let expected =
        [0, 1, 8, 0, 6, 4, 0, 1, 0, 0, 0x5e, 0, 1, 51, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1];
    assert_eq!(gratuitous_arp(Ipv4Addr::new(192, 0, 2, 1), MAC), expected);
}

#[test]
fn a_neighbour_advertisement_that_overrides() {
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let packet = neighbour_advertisement(address, MAC, true);
    assert_eq!(packet[..8], [0x60, 0, 0, 0, 0, 32, 58, 255]);
    assert_eq!(packet[8..24], address.octets());
    assert_eq!(packet[24..40], ALL_NODES.octets());
    assert_eq!(packet[40..42], [136, 0]);
    assert_eq!(packet[44..48], [0xa0, 0, 0, 0]);
    assert_eq!(packet[48..64], address.octets());
    assert_eq!(packet[64..], [2, 1, 0, 0, 0x5e, 0, 1, 51]);
    assert_eq!(neighbour_advertisement(address, MAC, false)[44], 0x20);
}

proptest! {
    /// RFC 1071 §1: with the checksum in it the sum is all ones.
    #[test]
    fn the_checksum_is_right(address: [u8; 16], mac: [u8; 6], router: bool) {
        let packet = neighbour_advertisement(address.into(), mac, router);
        let pseudo_header = [&packet[8..40], &[0, 0, 0, 32, 0, 0, 0, 58]].concat();
        let mut sum = 0_u64;
        for word in pseudo_header.chunks(2).chain(packet[40..].chunks(2)) {
            sum += u64::from(word[0]) << 8 | u64::from(word[1]);
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        prop_assert_eq!(sum, 0xffff);
    }
}
