use std::io::Read;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::io::clock;
use crate::io::namespace::Host;

const BOTH: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// What was received, with everything owned.
type Arrived = (IpAddr, IpAddr, u8, Vec<u8>);

struct End {
    host: Host,
    listeners: [Listener; 2],
    sender: Sender,
}

impl End {
    fn on(host: Host) -> Self {
        let index = host.index("eth0");
        let listeners = BOTH.map(|family| host.run(move || Listener::open(family, index)).unwrap());
        let sender = host.run(Sender::open).unwrap();
        Self { host, listeners, sender }
    }

    fn hear(&self, family: Family) -> Option<Arrived> {
        let mut buffer = Buffer::new();
        let listener = self.listeners.iter().find(|listener| listener.family() == family).unwrap();
        for _ in 0..500 {
            if let Some(packet) = listener.receive(&mut buffer).unwrap() {
                return Some((packet.source, packet.destination, packet.ttl, packet.message.to_vec()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

fn address(family: Family, number: u8) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(10, 0, 0, number).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number.into()).into(),
    }
}

#[test]
fn packets_arrive_with_source_destination_and_ttl() {
    let [one, two] = Host::pair().map(End::on);
    let index = one.host.index("eth0").get();
    for family in BOTH {
        let source = address(family, 1);
        for destination in [group(family), address(family, 2)] {
            one.sender.send(index, source, destination, b"message").unwrap();
            let arrived = two.hear(family).expect("it arrives");
            assert_eq!(arrived, (source, destination, 255, b"message".to_vec()));
        }
    }
}

#[test]
fn packets_are_internetwork_control() {
    let [one, two] = Host::pair().map(End::on);
    let plain = two.host.run(|| open(Family::Ipv4)).unwrap();
    plain.set_nonblocking(false).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let index = one.host.index("eth0").get();
    one.sender.send(index, address(Family::Ipv4, 1), address(Family::Ipv4, 2), b"message").unwrap();
    let mut datagram = [0; 27];
    assert_eq!((&plain).read(&mut datagram).unwrap(), datagram.len());
    assert_eq!(datagram[1], 0xc0);
}

#[test]
fn the_source_is_the_one_that_is_told_and_nothing_comes_back() {
    let [one, two] = Host::pair().map(End::on);
    let index = one.host.index("eth0").get();
    one.host.ip("address add 10.0.0.9/24 dev eth0");
    one.host.ip("address add fe80::9/64 dev eth0 nodad");
    for family in BOTH {
        let source = address(family, 9);
        one.sender.send(index, source, group(family), b"message").unwrap();
        assert_eq!(two.hear(family).expect("it arrives").0, source);
        let listener = one.listeners.iter().find(|listener| listener.family() == family).unwrap();
        assert_eq!(
            listener.receive(&mut Buffer::new()).unwrap(),
            None,
            "multicast is not heard by who sends it"
        );
    }
}

#[test]
fn adverts_leave_by_a_macvlan_and_are_heard_beside_one() {
    let [one, two] = Host::pair().map(End::on);
    // Both directors have the virtual router's address, as in a pair of which either may become Active.
    for end in [&one, &two] {
        end.host.ip("link add vrrp.7 link eth0 address 00:00:5e:00:01:07 type macvlan mode bridge");
        end.host.ip("link set vrrp.7 addrgenmode none");
        end.host.ip("link set vrrp.7 up");
    }
    let index = one.host.index("vrrp.7").get();
    for family in BOTH {
        let source = address(family, 1);
        one.sender.send(index, source, group(family), b"message").unwrap();
        assert_eq!(two.hear(family).expect("it arrives").0, source);
    }
}

/// Why [`crate::io::Inbox::device`] wants the mode to be bridge.
#[test]
fn a_private_macvlan_takes_what_comes_from_its_own_address() {
    let [one, two] = Host::pair().map(End::on);
    for end in [&one, &two] {
        end.host.ip("link add vrrp.7 link eth0 address 00:00:5e:00:01:07 type macvlan mode private");
        end.host.ip("link set vrrp.7 up");
    }
    let (source, destination) = (address(Family::Ipv4, 1), group(Family::Ipv4));
    one.sender.send(one.host.index("vrrp.7").get(), source, destination, b"virtual").unwrap();
    one.sender.send(one.host.index("eth0").get(), source, destination, b"own").unwrap();
    assert_eq!(two.hear(Family::Ipv4).expect("it arrives").3, b"own");
}

#[test]
fn a_listener_hears_its_interface_only() {
    let [one, two] = Host::pair().map(End::on);
    one.host.ip("link add eth1 type veth peer name eth2");
    for (name, number) in [("eth1", 3), ("eth2", 4)] {
        one.host.ip(&format!("address add 10.0.1.{number}/24 dev {name}"));
        one.host.ip(&format!("link set {name} up"));
    }
    // From eth1 to eth2, on the same host.
    let (from, to) = (one.host.index("eth1"), one.host.index("eth2"));
    let there = one.host.run(move || Listener::open(Family::Ipv4, to)).unwrap();
    one.sender.send(from.get(), Ipv4Addr::new(10, 0, 1, 3).into(), group(Family::Ipv4), b"there").unwrap();
    two.sender
        .send(two.host.index("eth0").get(), address(Family::Ipv4, 2), group(Family::Ipv4), b"here")
        .unwrap();
    assert_eq!(one.hear(Family::Ipv4).expect("it arrives").3, b"here");
    drop(there);
}

/// What comes from the link itself is heard all the time.
#[test]
fn a_flood_from_afar_is_dropped_for_a_while() {
    let [one, mut two] = Host::pair().map(End::on);
    let index = one.host.index("eth0").get();
    let far = one.host.run(|| BOTH.map(|family| open(family).unwrap()));
    for (at, family) in BOTH.into_iter().enumerate() {
        let to: SocketAddr = match address(family, 2) {
            IpAddr::V4(to) => (to, 0).into(),
            IpAddr::V6(to) => SocketAddrV6::new(to, 0, 0, index).into(),
        };
        let send_far = || far[at].send_to(b"far", &to.into()).unwrap();
        let send_near = || one.sender.send(index, address(family, 1), group(family), b"near").unwrap();
        two.listeners[at].set_least_ttl(255);
        let mut now = clock::now();
        let hear = |now| {
            let (_, _, ttl, message) = two.hear(family).expect("it arrives");
            two.listeners[at].note(now, ttl);
            message
        };
        // Slowly: no flood.
        for _ in 0..150 {
            send_far();
            assert_eq!(hear(now), b"far");
            now += Duration::from_millis(20);
        }
        now += Duration::from_secs(1);
        for _ in 0..101 {
            send_far();
            assert_eq!(hear(now), b"far");
        }
        send_far();
        send_near();
        assert_eq!(hear(now), b"near");
        // It is over.
        now += shield::UP;
        send_near();
        assert_eq!(hear(now), b"near");
        send_far();
        assert_eq!(hear(now), b"far");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken_apart(datagram in prop::collection::vec(any::<u8>(), 0..100)) {
        let packet = ipv4::parse(&datagram);
        prop_assert!(packet.is_none_or(|packet| packet.message.len() + 20 <= datagram.len()));
    }

    #[test]
    fn padding_and_options_are_not_the_message(
        options in 0_usize..11,
        message in prop::collection::vec(any::<u8>(), 0..50),
        padding in 0_usize..50,
    ) {
        let header_length = 20 + 4 * options;
        let mut datagram = vec![0; header_length];
        datagram[0] = 0x40 | u8::try_from(header_length / 4).unwrap();
        let total = u16::try_from(header_length + message.len()).unwrap();
        datagram[2..4].copy_from_slice(&total.to_be_bytes());
        datagram[8] = 254;
        datagram[12..20].copy_from_slice(&[10, 0, 0, 1, 224, 0, 0, 18]);
        datagram.extend(&message);
        datagram.resize(datagram.len() + padding, 0xff);
        let packet = Packet {
            source: Ipv4Addr::new(10, 0, 0, 1).into(),
            destination: group(Family::Ipv4),
            ttl: 254,
            message: &message,
        };
        prop_assert_eq!(ipv4::parse(&datagram), Some(packet));
    }
}
