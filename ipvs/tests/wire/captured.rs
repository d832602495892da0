//! Bytes from a real kernel and from ipvsadm, asserted both ways.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::capture::{Captured, answers, decode, encode, requests};
use netlink_packet_core::Nla;
use tidegate_ipvs::Request;
use tidegate_ipvs::codec::{
    decode_daemon, decode_destination, decode_info, decode_service, decode_timeouts, encode_daemon,
    encode_timeouts,
};
use tidegate_ipvs::table::*;
use tidegate_ipvs::wire::{
    Attribute, Command, DestinationAttribute, Message, Nested, ServiceAttribute, StatsAttribute,
};

#[test]
fn all_that_was_captured_encodes_to_the_same_bytes() {
    for Captured { command, bytes } in requests().into_iter().chain(answers()) {
        let message = decode(&bytes).unwrap_or_else(|error| panic!("{command}: {error}"));
        assert_eq!(encode(message), bytes, "{command}");
    }
}

#[test]
fn nothing_that_was_captured_is_unknown_except_padding() {
    /// `IPVS_STATS_ATTR_PAD`.
    const PAD: u16 = 11;
    let stats = |stats: &Nested<StatsAttribute>| {
        let unknown = stats.attributes.iter().find(|attribute| match attribute {
            StatsAttribute::Other(other) => other.kind() != PAD,
            _ => false,
        });
        assert_eq!(unknown, None);
        assert_eq!(stats.attributes.iter().filter(|a| !matches!(a, StatsAttribute::Other(_))).count(), 10);
    };
    for captured in requests().into_iter().chain(answers()) {
        let Message::Command(_, attributes) = decode(&captured.bytes).unwrap() else { continue };
        for attribute in attributes {
            match attribute {
                Attribute::Service(service) => {
                    service.attributes.iter().for_each(|attribute| match attribute {
                        ServiceAttribute::Stats(nested) | ServiceAttribute::Stats64(nested) => stats(nested),
                        other => assert!(!matches!(other, ServiceAttribute::Other(_)), "{other:?}"),
                    })
                }
                Attribute::Destination(it) => it.attributes.iter().for_each(|attribute| match attribute {
                    DestinationAttribute::Stats(nested) | DestinationAttribute::Stats64(nested) => {
                        stats(nested)
                    }
                    other => assert!(!matches!(other, DestinationAttribute::Other(_)), "{other:?}"),
                }),
                other => assert!(!matches!(other, Attribute::Other(_)), "{other:?}"),
            }
        }
    }
}

#[test]
fn services_are_asked_for_in_ipvsadms_own_bytes() {
    let persistent = |timeout, mask, engine: Option<&str>| Persistence {
        timeout,
        mask,
        engine: engine.map(|engine| engine.parse().unwrap()),
    };
    let cases = [
        ("-A -t 192.0.2.10:80 -s wlc", tcp("192.0.2.10:80"), service("wlc")),
        (
            "-A -t 192.0.2.11:80 -s sh -b sh-fallback,sh-port",
            tcp("192.0.2.11:80"),
            Service {
                scheduler_flags: SchedulerFlags { fallback: true, port: true, third: false },
                ..service("sh")
            },
        ),
        (
            "-A -u [2001:db8::10]:53 -s mh -b mh-port -o",
            key(Protocol::Udp, "[2001:db8::10]:53"),
            Service {
                scheduler_flags: SchedulerFlags { port: true, ..SchedulerFlags::default() },
                one_packet: true,
                ..service("mh")
            },
        ),
        (
            "-A --sctp-service 192.0.2.12:36412 -s wrr -p 300 -M 255.255.255.0",
            key(Protocol::Sctp, "192.0.2.12:36412"),
            Service {
                persistence: Some(persistent(300, Mask::V4("255.255.255.0".parse().unwrap()), None)),
                ..service("wrr")
            },
        ),
        (
            "-A -t [2001:db8::11]:443 -s rr -p 600 -M 64",
            tcp("[2001:db8::11]:443"),
            Service { persistence: Some(persistent(600, Mask::V6(64), None)), ..service("rr") },
        ),
        (
            "-A -u 192.0.2.13:5060 -s rr -p 60 --pe sip -o",
            key(Protocol::Udp, "192.0.2.13:5060"),
            Service {
                one_packet: true,
                persistence: Some(persistent(60, Mask::host(Family::V4), Some("sip"))),
                ..service("rr")
            },
        ),
        ("-A -f 7 -s lc", fwmark(7, Family::V4), service("lc")),
        ("-A -f 8 -6 -s sed", fwmark(8, Family::V6), service("sed")),
    ];
    for (command, key, service) in cases {
        assert_eq!(encode(Request::PutService(key, service).message()), request(command), "{command}");
    }
    let edit = Request::PutService(tcp("192.0.2.10:80"), service("wrr")).change_message().unwrap();
    assert_eq!(encode(edit), request("-E -t 192.0.2.10:80 -s wrr"));
}

#[test]
fn destinations_are_described_as_ipvsadm_does() {
    let cases = [
        (
            "-a -t 192.0.2.10:80 -r 10.1.0.2:8080 -m -w 10 -x 1000 -y 800",
            "10.1.0.2:8080",
            Destination { upper_threshold: 1000, lower_threshold: 800, ..destination(Forwarding::Nat, 10) },
        ),
        ("-a -t 192.0.2.11:80 -r 10.1.0.3:80 -g -w 0", "10.1.0.3:80", destination(Forwarding::Direct, 0)),
        ("-a -t 192.0.2.11:80 -r 10.1.0.4:80 -i -w 3", "10.1.0.4:80", tunnel(Tunnel::Ipip, 3)),
        ("-a -t 192.0.2.11:80 -r [2001:db8:1::9]:80 -i -w 6", "[2001:db8:1::9]:80", tunnel(Tunnel::Ipip, 6)),
        (
            "-a -t 192.0.2.11:80 -r 10.1.0.5:80 -i --tun-type gue --tun-port 6080 --tun-csum -w 4",
            "10.1.0.5:80",
            tunnel(Tunnel::Gue { port: 6080, checksum: Checksum::On }, 4),
        ),
        (
            "-a -t 192.0.2.11:80 -r 10.1.0.6:80 -i --tun-type gue --tun-port 6080 --tun-remcsum -w 4",
            "10.1.0.6:80",
            tunnel(Tunnel::Gue { port: 6080, checksum: Checksum::Remote }, 4),
        ),
        (
            "-a -t 192.0.2.11:80 -r 10.1.0.7:80 -i --tun-type gre --tun-csum -w 5",
            "10.1.0.7:80",
            tunnel(Tunnel::Gre { checksum: Checksum::On }, 5),
        ),
        ("-a -f 7 -r 10.1.0.2:80 -g", "10.1.0.2:80", destination(Forwarding::Direct, 1)),
    ];
    for (command, address, destination) in cases {
        let put = Request::PutDestination(tcp("192.0.2.1:80"), address.parse().unwrap(), destination);
        let Message::Command(Command::NewDestination, ours) = put.message() else { panic!() };
        let Message::Command(Command::NewDestination, theirs) = decode(&request(command)).unwrap() else {
            panic!("{command}")
        };
        assert_eq!(sorted(&ours[1]), sorted(&theirs[1]), "{command}");
    }
}

#[test]
fn the_kernels_dump_is_the_table_that_ipvsadm_made() {
    let table = table();
    assert_eq!(table.len(), 7);

    let sh = &table[&tcp("192.0.2.11:80")];
    assert_eq!(sh.service.scheduler.as_str(), "sh");
    assert_eq!(sh.service.scheduler_flags, SchedulerFlags { fallback: true, port: true, third: false });
    assert_eq!(sh.service.persistence, None);

    let mh = &table[&key(Protocol::Udp, "[2001:db8::10]:53")];
    assert!(mh.service.one_packet && mh.service.scheduler_flags.port && !mh.service.scheduler_flags.fallback);

    let sip = &table[&key(Protocol::Udp, "192.0.2.13:5060")];
    let engine = Some("sip".parse().unwrap());
    let persistence = Persistence { timeout: 60, mask: Mask::host(Family::V4), engine };
    assert_eq!(sip.service.persistence, Some(persistence));

    let v6 = table[&tcp("[2001:db8::11]:443")].service.persistence.clone().unwrap();
    assert_eq!((v6.timeout, v6.mask), (600, Mask::V6(64)));

    assert_eq!(table[&fwmark(8, Family::V6)].service, service("sed"));
}

#[test]
fn the_kernels_destinations_have_their_tunnels_and_families() {
    let found = destinations();
    let forwarding = |address: &str| found[&address.parse::<SocketAddr>().unwrap()].destination.forwarding;
    assert_eq!(forwarding("10.1.0.3:80"), Forwarding::Direct);
    assert_eq!(
        forwarding("10.1.0.5:80"),
        Forwarding::Tunnel(Tunnel::Gue { port: 6080, checksum: Checksum::On })
    );
    assert_eq!(
        forwarding("10.1.0.6:80"),
        Forwarding::Tunnel(Tunnel::Gue { port: 6080, checksum: Checksum::Remote })
    );
    assert_eq!(forwarding("10.1.0.7:80"), Forwarding::Tunnel(Tunnel::Gre { checksum: Checksum::On }));
    assert_eq!(forwarding("[2001:db8:1::9]:80"), Forwarding::Tunnel(Tunnel::Ipip));
    assert_eq!(forwarding("[2001:db8:1::2]:53"), Forwarding::Nat);
}

#[test]
fn statistics_are_what_ipvsadm_printed_after_three_requests_over_http() {
    let total = Counts { connections: 3, packets_in: 18, packets_out: 15, bytes_in: 1308, bytes_out: 1419 };
    assert_eq!(table()[&tcp("192.0.2.10:80")].stats.total, total);
    let destination = destinations()[&"10.1.0.2:8080".parse().unwrap()];
    assert_eq!(destination.stats.total, total);
    assert_eq!((destination.active, destination.inactive, destination.persistent), (0, 3, 0));
    assert_eq!(destination.destination.upper_threshold, 1000);
    assert_eq!(destination.destination.lower_threshold, 800);
}

#[test]
fn old_kernels_statistics_of_32_bits_are_read_where_there_are_no_others() {
    let answer =
        answers().into_iter().rfind(|captured| captured.bytes[0] == Command::NewService as u8).unwrap();
    let Message::Command(_, mut attributes) = decode(&answer.bytes).unwrap() else { panic!() };
    let Attribute::Service(service) = attributes.remove(0) else { panic!() };
    let wide = |attribute: &ServiceAttribute| matches!(attribute, ServiceAttribute::Stats64(_));
    let old: Vec<_> = service.attributes.iter().filter(|attribute| !wide(attribute)).cloned().collect();
    assert_eq!(old.len() + 1, service.attributes.len());
    let (_, new) = decode_service(service.attributes).unwrap();
    let (_, old) = decode_service(old).unwrap();
    assert_eq!(old.stats, new.stats);
}

#[test]
fn daemons_timeouts_and_version_are_read_and_asked_for_in_the_same_bytes() {
    let daemons: Vec<_> = answers()
        .iter()
        .filter(|captured| captured.command == "ipvsadm -L --daemon")
        .map(|captured| match decode(&captured.bytes).unwrap() {
            Message::Command(_, attributes) => match attributes.into_iter().next() {
                Some(Attribute::Daemon(daemon)) => decode_daemon(daemon.attributes).unwrap(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    let start = |max_length, group: Option<&str>, port, ttl, sync_id, role| SyncDaemon {
        role,
        interface: "eth9".parse().unwrap(),
        sync_id,
        max_length,
        group: group.map(|group| group.parse().unwrap()),
        port,
        ttl,
    };
    let active = start(Some(1472), Some("224.0.0.81"), Some(8848), Some(1), 5, SyncRole::Active);
    let backup = start(Some(1400), Some("ff02::81"), Some(9000), Some(3), 6, SyncRole::Backup);
    assert_eq!(daemons, [active.clone(), backup.clone()]);

    let encode_start = |daemon: &SyncDaemon| {
        let daemon = Attribute::Daemon(Nested::new(encode_daemon(daemon)));
        encode(Message::Command(Command::NewDaemon, vec![daemon]))
    };
    let brief = start(None, None, None, None, 5, SyncRole::Active);
    let line = "--start-daemon master --mcast-interface eth9 --syncid 5";
    assert_eq!(encode_start(&brief), request(line));
    let theirs = decode(&request(
        "--start-daemon backup --mcast-interface eth9 --syncid 6 --sync-maxlen 1400 --mcast-group ff02::81 \
         --mcast-port 9000 --mcast-ttl 3",
    ));
    let Message::Command(_, theirs) = theirs.unwrap() else { panic!() };
    let Attribute::Daemon(theirs) = &theirs[0] else { panic!() };
    assert_eq!(decode_daemon(theirs.attributes.clone()).unwrap(), backup);

    assert!(brief.is_met_by(&active) && !brief.is_met_by(&backup));
    assert!(!SyncDaemon { ttl: Some(2), ..brief }.is_met_by(&active));

    let timeouts = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };
    let set = request("--set 900 120 300");
    assert_eq!(encode(Message::Command(Command::SetConfig, encode_timeouts(&timeouts))), set);
    let Message::Command(_, attributes) = decode(&set).unwrap() else { panic!() };
    assert_eq!(decode_timeouts(attributes), timeouts);

    let Message::Info(attributes) = decode(&answers()[0].bytes).unwrap() else { panic!() };
    let info = decode_info(attributes).unwrap();
    assert_eq!(info, Info { version: (1, 2, 1), connection_table_size: 4096 });
}

fn request(arguments: &str) -> Vec<u8> {
    let command = format!("ipvsadm {arguments}");
    // The first of an ipvsadm's messages that is not its question for the version.
    let of_it =
        |captured: &Captured| captured.command == command && captured.bytes[0] != Command::GetInfo as u8;
    requests().into_iter().find(of_it).unwrap_or_else(|| panic!("{command} was not captured")).bytes
}

fn table() -> Table {
    commands(Command::NewService)
        .map(|attribute| match attribute {
            Attribute::Service(service) => decode_service(service.attributes).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn destinations() -> BTreeMap<SocketAddr, DestinationEntry> {
    commands(Command::NewDestination)
        .map(|attribute| match attribute {
            Attribute::Destination(it) => decode_destination(Family::V4, it.attributes).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn commands(wanted: Command) -> impl Iterator<Item = Attribute> {
    answers().into_iter().filter_map(move |captured| match decode(&captured.bytes).unwrap() {
        Message::Command(command, mut attributes) if command == wanted => attributes.pop(),
        _ => None,
    })
}

fn sorted(attribute: &Attribute) -> Vec<String> {
    let Attribute::Destination(destination) = attribute else { panic!("{attribute:?}") };
    let mut attributes: Vec<_> = destination.attributes.iter().map(|it| format!("{it:?}")).collect();
    attributes.sort();
    attributes
}

fn key(protocol: Protocol, address: &str) -> Key {
    Key::Address { protocol, address: address.parse().unwrap() }
}

fn tcp(address: &str) -> Key {
    key(Protocol::Tcp, address)
}

fn fwmark(mark: u32, family: Family) -> Key {
    Key::Fwmark { mark: mark.try_into().unwrap(), family }
}

fn service(scheduler: &str) -> Service {
    Service {
        scheduler: scheduler.parse().unwrap(),
        scheduler_flags: SchedulerFlags::default(),
        one_packet: false,
        persistence: None,
    }
}

fn destination(forwarding: Forwarding, weight: u32) -> Destination {
    Destination { forwarding, weight, upper_threshold: 0, lower_threshold: 0 }
}

fn tunnel(tunnel: Tunnel, weight: u32) -> Destination {
    destination(Forwarding::Tunnel(tunnel), weight)
}
