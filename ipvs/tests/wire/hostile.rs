//! What has to hold for any bytes at all; the fuzz target asserts the same.

use netlink_packet_core::{Emitable, ParseableParametrized};
use netlink_packet_generic::GenlMessage;
use tidegate_ipvs::codec::{
    decode_daemon, decode_destination, decode_info, decode_service, decode_timeouts, encode_daemon,
    encode_destination, encode_service,
};
use tidegate_ipvs::table::Family;
use tidegate_ipvs::wire::{Attribute, FamilyLookup, Message, decode_datagram};

/// Nothing panics, and what was understood is understood the same after it was written again.
pub(crate) fn check(bytes: &[u8]) {
    let _ = decode_datagram::<Message>(bytes);
    let _ = decode_datagram::<FamilyLookup>(bytes);
    let Ok(message) = GenlMessage::<Message>::parse_with_param(bytes, 0) else { return };
    let mut written = vec![0; message.buffer_len()];
    message.emit(&mut written);
    assert_eq!(GenlMessage::<Message>::parse_with_param(&written, 0).ok().as_ref(), Some(&message));
    match message.payload {
        Message::Info(attributes) => drop(decode_info(attributes)),
        Message::Command(_, attributes) => {
            decode_timeouts(attributes.clone());
            attributes.into_iter().for_each(check_object);
        }
    }
}

fn check_object(attribute: Attribute) {
    match attribute {
        Attribute::Service(service) => {
            let Ok((key, entry)) = decode_service(service.attributes) else { return };
            let again = decode_service(encode_service(&key, &entry.service));
            assert_eq!(again.ok().map(|(key, entry)| (key, entry.service)), Some((key, entry.service)));
        }
        Attribute::Destination(destination) => {
            let Ok((address, entry)) = decode_destination(Family::V4, destination.attributes) else { return };
            let again = decode_destination(Family::V6, encode_destination(&address, &entry.destination));
            let again = again.ok().map(|(address, entry)| (address, entry.destination));
            assert_eq!(again, Some((address, entry.destination)));
        }
        Attribute::Daemon(daemon) => {
            let Ok(daemon) = decode_daemon(daemon.attributes) else { return };
            assert_eq!(decode_daemon(encode_daemon(&daemon)).ok(), Some(daemon));
        }
        _ => {}
    }
}
