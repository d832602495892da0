use std::net::Ipv4Addr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use proptest::prelude::*;

use super::super::{Request, append, messages};
use super::*;

fn parse(message: RouteNetlinkMessage) -> Option<Notice> {
    let mut bytes = Vec::new();
    append(&mut bytes, &Request { message, flags: 0 }, 1, 0);
    messages(&bytes).find_map(|message| Notice::parse(&message))
}

#[test]
fn links_are_read() {
    let mut message = LinkMessage::default();
    message.header.index = 7;
    message.header.flags = LinkFlags::Up | LinkFlags::Running;
    message.attributes = vec![
        LinkAttribute::Mtu(1500),
        LinkAttribute::IfName("eth0".into()),
        LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
    ];
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
    let link = Notice::Link { index: 7, name: "eth0".into(), flags, mac: Some([2, 0, 0, 0, 0, 1]) };
    assert_eq!(parse(RouteNetlinkMessage::NewLink(message.clone())), Some(link));
    assert_eq!(parse(RouteNetlinkMessage::DelLink(message)), Some(Notice::LinkGone { index: 7 }));
}

#[test]
fn addresses_are_the_local_end_with_all_flags() {
    let address = |address: [u8; 4]| IpAddr::V4(Ipv4Addr::from(address));
    let mut message = AddressMessage::default();
    message.header.index = 7;
    message.header.prefix_len = 32;
    message.attributes = vec![
        AddressAttribute::Address(address([192, 0, 2, 9])),
        AddressAttribute::Local(address([192, 0, 2, 1])),
        AddressAttribute::Flags(AddressFlags::Permanent | AddressFlags::Noprefixroute),
    ];
    let (index, address, prefix) = (7, address([192, 0, 2, 1]), 32);
    let flags = libc::IFA_F_PERMANENT | libc::IFA_F_NOPREFIXROUTE;
    let there = Notice::Address { index, address, prefix, flags };
    assert_eq!(parse(RouteNetlinkMessage::NewAddress(message.clone())), Some(there));
    let gone = Notice::AddressGone { index, address, prefix };
    assert_eq!(parse(RouteNetlinkMessage::DelAddress(message)), Some(gone));
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_not(mut bytes in proptest::collection::vec(any::<u8>(), 16..200), kind in 16_u8..22) {
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes[4..6].copy_from_slice(&u16::from(kind).to_ne_bytes());
        for message in messages(&bytes) {
            let _notice = Notice::parse(&message);
        }
    }
}
