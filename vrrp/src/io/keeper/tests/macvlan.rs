use super::director::{Director, front, holding, ping, until};
use crate::holding::Holding;
use crate::io::inbox::Told;
use crate::io::namespace::Host;

fn virtual_mac(addresses: &[&str]) -> Holding {
    Holding { virtual_mac: true, ..holding(addresses) }
}

#[test]
fn addresses_are_reached_at_the_virtual_mac_address() {
    let mut director = Director::start();
    director.configure(virtual_mac(&["10.0.0.100/24"]));
    director.shows("-d link show", "macvlan mode bridge");
    let idle = director.host.ip("link show dev vrrp4.51-eth0");
    assert!(idle.contains("00:00:5e:00:01:33") && !idle.contains("UP"), "{idle}");

    director.hold();
    director.shows("-o address show dev vrrp4.51-eth0", "10.0.0.100/24");
    assert!(!director.host.ip("-6 address show dev vrrp4.51-eth0").contains("inet6"), "nothing of its own");
    // The peer asks, and is answered by the macvlan only; both ways work.
    ping(&director.peer, "10.0.0.100");
    director.peer_shows("neighbour show 10.0.0.100", "00:00:5e:00:01:33");
    ping(&director.peer, "10.0.0.1");
    director.peer_shows("neighbour show to 10.0.0.1/32", &director.mac());
    ping(&director.host, "-I 10.0.0.100 10.0.0.2");
    ping(&director.host, "10.0.0.100");
    ping(&director.peer, "10.0.0.100");
    director.peer_shows("neighbour show 10.0.0.100", "00:00:5e:00:01:33");

    director.release();
    director.shows_no("-o address show", "10.0.0.100");
    director.shows("link show dev vrrp4.51-eth0", "state DOWN");
    drop(director.keeper.take());
    assert!(!director.host.ip("link show").contains("vrrp4"), "it is gone with the keeper");
}

#[test]
fn ipv6_has_its_own() {
    let director = Director::start();
    director.configure(virtual_mac(&["fe80::100/64", "fd00::100/64"]));
    director.peer.ip("address add fd00::2/64 dev eth0 nodad");
    director.hold();
    director.shows("-o address show dev vrrp6.51-eth0", "fd00::100/64");
    ping(&director.peer, "fd00::100");
    director.peer_shows("neighbour show fd00::100", "00:00:5e:00:02:33");
    ping(&director.peer, "fe80::100%eth0");
}

#[test]
fn adverts_leave_by_it_while_it_is_up() {
    let director = Director::start();
    director.configure(virtual_mac(&["10.0.0.100/24"]));
    let device = || {
        let mut batch = Vec::new();
        director.inbox.take(&mut batch);
        batch.into_iter().find_map(|told| match told {
            Told::Device { router, index } if router == front() => Some(index),
            _ => None,
        })
    };
    director.hold();
    let index = until(device, Option::is_some, "its device").unwrap();
    assert!(director.host.ip("-o link show dev vrrp4.51-eth0").starts_with(&format!("{index}:")));
    director.release();
    assert_eq!(until(device, Option::is_some, "no device any more"), Some(0));
}

#[test]
fn it_is_made_anew_with_its_interface_and_in_place_of_what_was_left() {
    let [host, peer] = Host::pair();
    host.ip("link add link eth0 name vrrp4.51-eth0 address 02:00:00:00:00:07 type macvlan mode private");
    let director = Director::start_on(host, peer);
    director.configure(virtual_mac(&["10.0.0.100/24"]));
    director.hold();
    director.shows("-d link show", "macvlan mode bridge");
    director.shows("-o address show", "10.0.0.100");
    director.host.ip("link delete eth0");
    director.shows_no("link show", "vrrp4");
    Host::connect([&director.host, &director.peer]);
    director.shows("-o address show", "10.0.0.100");
}
