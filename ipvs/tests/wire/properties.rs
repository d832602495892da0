//! What holds for any input.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::{capture, hostile};
use proptest::prelude::*;
use tidegate_ipvs::Request;
use tidegate_ipvs::codec::{decode_destination, decode_service, encode_destination, encode_service};
use tidegate_ipvs::table::*;
use tidegate_ipvs::wire::{Attribute, Command, Message};

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(command in 0..20u8, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        hostile::check(&bytes);
        let mut content = vec![command, 1, 0, 0];
        content.extend(bytes);
        hostile::check(&content);
    }

    #[test]
    fn damaged_messages_do_no_harm(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
    ) {
        let all: Vec<_> = capture::requests().into_iter().chain(capture::answers()).collect();
        let mut bytes = which.get(&all).bytes.clone();
        hostile::check(&bytes[..length.index(bytes.len() + 1)]);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        hostile::check(&bytes);
    }

    #[test]
    fn a_service_is_read_as_it_was_written(key in keys(), service in services()) {
        let service = fitting(&key, service);
        let (read_key, entry) = decode_service(encode_service(&key, &service)).unwrap();
        prop_assert_eq!(read_key, key);
        prop_assert_eq!(entry.service, service);
    }

    #[test]
    fn a_destination_is_read_as_it_was_written(address in addresses(), destination in destinations()) {
        let (read_address, entry) =
            decode_destination(Family::V4, encode_destination(&address, &destination)).unwrap();
        prop_assert_eq!(read_address, address);
        prop_assert_eq!(entry.destination, destination);
    }

    #[test]
    fn batches_keep_the_order_and_never_remove_after_a_put(
        requests in prop::collection::vec(requests(), 0..60),
        limit in 1..10usize,
    ) {
        let batches: Vec<_> = Request::batches(&requests, limit).collect();
        prop_assert_eq!(batches.concat(), requests.clone());
        for batch in &batches {
            prop_assert!((1..=limit).contains(&batch.len()));
            let put = batch.iter().position(|request| !request.removes()).unwrap_or(batch.len());
            prop_assert!(batch[put..].iter().all(|request| !request.removes()));
        }
        // As few as that allows: two neighbours could not be one.
        for pair in batches.windows(2) {
            let splits = !pair[0].last().unwrap().removes() && pair[1][0].removes();
            prop_assert!(splits || pair[0].len() == limit);
        }
    }

    #[test]
    fn a_request_says_what_it_is_about(request in requests()) {
        let Message::Command(command, attributes) = request.message() else { panic!() };
        let about_service = matches!(request, Request::PutService(..) | Request::RemoveService(..));
        prop_assert_eq!(attributes.len(), if about_service { 1 } else { 2 });
        prop_assert!(matches!(attributes[0], Attribute::Service(_)));
        let change = request.change_message().map(|message| match message {
            Message::Command(command, changed) => (command, changed == attributes),
            Message::Info(_) => panic!(),
        });
        let expected = match request {
            Request::PutService(..) => (Command::NewService, Some((Command::SetService, true))),
            Request::RemoveService(..) => (Command::DelService, None),
            Request::PutDestination(..) => (Command::NewDestination, Some((Command::SetDestination, true))),
            Request::SetDestination(..) => (Command::SetDestination, None),
            Request::RemoveDestination(..) => (Command::DelDestination, None),
        };
        prop_assert_eq!((command, change), expected);
    }
}

#[test]
fn names_are_what_the_kernel_can_hold() {
    for good in ["r", "wlc", "fifteen-letters"] {
        assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
    }
    for bad in ["", "sixteen-letters!", "a b", "nul\0", "ümlaut"] {
        let error = bad.parse::<Name>().unwrap_err().to_string();
        assert!(error.contains("not a name of 1 to 15"), "{error}");
    }
    assert!(SCHEDULERS.iter().all(|name| name.parse::<Name>().is_ok()));
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn keys() -> impl Strategy<Value = Key> {
    let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    let family = prop::sample::select(vec![Family::V4, Family::V6]);
    prop_oneof![
        (protocol, addresses()).prop_map(|(protocol, address)| Key::Address { protocol, address }),
        (1..=u32::MAX, family)
            .prop_map(|(mark, family)| Key::Fwmark { mark: mark.try_into().unwrap(), family }),
    ]
}

fn names() -> impl Strategy<Value = Name> {
    "[!-~]{1,15}".prop_map(|name| name.parse().unwrap())
}

fn services() -> impl Strategy<Value = Service> {
    let flags = any::<[bool; 4]>();
    let persistence = (any::<u32>(), 1..=128u8, prop::option::of(names()))
        .prop_map(|(timeout, prefix, engine)| Persistence { timeout, mask: Mask::V6(prefix), engine });
    (names(), flags, prop::option::of(persistence)).prop_map(
        |(scheduler, [fallback, port, third, one_packet], persistence)| Service {
            scheduler,
            scheduler_flags: SchedulerFlags { fallback, port, third },
            one_packet,
            persistence,
        },
    )
}

/// With a mask of the key's family.
fn fitting(key: &Key, mut service: Service) -> Service {
    if let (Some(persistence), Family::V4) = (&mut service.persistence, key.family())
        && let Mask::V6(prefix) = persistence.mask
    {
        persistence.mask = Mask::V4(Ipv4Addr::from_bits(u32::from(prefix).rotate_right(8)));
    }
    service
}

fn destinations() -> impl Strategy<Value = Destination> {
    let checksum = || prop::sample::select(vec![Checksum::Off, Checksum::On, Checksum::Remote]);
    let tunnel = prop_oneof![
        Just(Tunnel::Ipip),
        (any::<u16>(), checksum()).prop_map(|(port, checksum)| Tunnel::Gue { port, checksum }),
        checksum().prop_map(|checksum| Tunnel::Gre { checksum }),
        (3..=u8::MAX, any::<u16>(), any::<u16>()).prop_map(|(kind, port, flags)| Tunnel::Other {
            kind,
            port,
            flags
        }),
    ];
    let forwarding = prop_oneof![
        Just(Forwarding::Nat),
        Just(Forwarding::Direct),
        tunnel.prop_map(Forwarding::Tunnel),
        prop::sample::select(vec![1, 4, 5]).prop_map(Forwarding::Other),
    ];
    (forwarding, any::<u32>(), any::<u32>(), any::<u32>()).prop_map(
        |(forwarding, weight, upper_threshold, lower_threshold)| Destination {
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
        },
    )
}

fn requests() -> impl Strategy<Value = Request> {
    prop_oneof![
        (keys(), services()).prop_map(|(key, service)| Request::PutService(key, service)),
        keys().prop_map(Request::RemoveService),
        (keys(), addresses(), destinations())
            .prop_map(|(key, address, destination)| Request::PutDestination(key, address, destination)),
        (keys(), addresses(), destinations())
            .prop_map(|(key, address, destination)| Request::SetDestination(key, address, destination)),
        (keys(), addresses()).prop_map(|(key, address)| Request::RemoveDestination(key, address)),
    ]
}
