use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::director::{Director, holding};
use crate::holding::Holding;
use crate::io::clock;
use crate::io::netlink::{Monitor, Notice};

#[test]
fn addresses_come_and_go_and_the_peer_learns_where_they_are() {
    let director = Director::start();
    director.configure(holding(&["10.0.0.100/24", "fd00::100/64", "fe80::100/128"]));
    // Where they were, as far as the peer knows.
    for address in ["10.0.0.100", "fd00::100"] {
        director.peer.ip(&format!("neighbour add {address} lladdr 02:00:00:00:00:99 dev eth0 nud stale"));
    }

    director.hold();
    director.shows("-o address show dev eth0", "10.0.0.100/24");
    director.shows("-o address show dev eth0", "fe80::100/64");
    let ipv6 = director.host.ip("-o address show dev eth0 to fd00::100/128");
    assert!(ipv6.contains("fd00::100/64") && ipv6.contains("deprecated"), "{ipv6}");
    assert!(!ipv6.contains("tentative"), "{ipv6}");
    for address in ["10.0.0.100", "fd00::100"] {
        director.peer_shows(&format!("neighbour show {address}"), &director.mac());
    }

    director.release();
    director.shows_no("-o address show dev eth0", "10.0.0.100");
    director.shows_no("-o address show dev eth0", "::100");
    assert!(director.host.ip("-o address show dev eth0").contains("10.0.0.1/24"), "its own stay");
}

#[test]
fn an_address_is_there_as_soon_as_it_is_ordered() {
    let director = Director::start();
    director.configure(holding(&["10.0.0.100/32"]));
    let mut monitor = director.host.run(Monitor::open).unwrap();
    let mut times = Vec::new();
    for _ in 0..20 {
        let ordered = clock::now();
        director.hold();
        heard(&mut monitor, |notice| matches!(notice, Notice::Address { .. }));
        times.push(clock::now() - ordered);
        director.release();
        heard(&mut monitor, |notice| matches!(notice, Notice::AddressGone { .. }));
    }
    times.sort();
    println!("from the order to the address: median {:?}, at most {:?}", times[10], times[19]);
    assert!(times[10].as_millis() < 500, "{times:?}");
}

fn heard(monitor: &mut Monitor, wanted: impl Fn(&Notice) -> bool) {
    loop {
        let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(monitor, PollFlags::IN)], Some(&patience));
        assert_eq!(ready, Ok(1), "the kernel says what has happened");
        if monitor.read().unwrap().iter().flatten().any(&wanted) {
            return;
        }
    }
}

#[test]
fn the_last_order_counts() {
    let mut director = Director::start();
    director.configure(holding(&["10.0.0.100/32"]));
    for _ in 0..10 {
        director.hold();
        director.release();
    }
    director.hold();
    director.shows("-o address show dev eth0", "10.0.0.100/32");
    director.release();
    director.shows_no("-o address show dev eth0", "10.0.0.100/32");
    assert!(director.reports.try_recv().is_err(), "nothing of that was drift");
}

#[test]
fn a_dropped_keeper_leaves_nothing() {
    let mut director = Director::start();
    director.configure(holding(&["10.0.0.100/32", "fd00::100/128"]));
    director.hold();
    director.shows("-o address show dev eth0", "fd00::100/128");
    drop(director.keeper.take());
    let addresses = director.host.ip("-o address show dev eth0");
    assert!(!addresses.contains("100/"), "{addresses}");
}

#[test]
fn the_addresses_of_an_owner_are_its_own() {
    let director = Director::start();
    director.peer.ip("neighbour add 10.0.0.1 lladdr 02:00:00:00:00:99 dev eth0 nud stale");
    director.configure(Holding { owner: true, ..holding(&["10.0.0.1/24", "10.0.0.100/24"]) });
    director.hold();
    director.peer_shows("neighbour show 10.0.0.1", &director.mac());
    director.release();
    director.configure(holding(&["10.0.0.200/24"]));
    director.hold();
    director.shows("-o address show dev eth0", "10.0.0.200/24");
    let addresses = director.host.ip("-o address show dev eth0");
    assert!(addresses.contains("10.0.0.1/24") && !addresses.contains("10.0.0.100"), "{addresses}");
}

#[test]
fn what_an_owner_has_held_before_it_was_one_stays() {
    let director = Director::start();
    director.configure(holding(&["10.0.0.100/24", "10.0.0.101/24"]));
    director.hold();
    director.shows("-o address show dev eth0", "10.0.0.101/24");
    // The other goes, and would do so after it.
    director.configure(Holding { owner: true, ..holding(&["10.0.0.101/24"]) });
    director.shows_no("-o address show dev eth0", "10.0.0.100");
    assert!(director.host.ip("-o address show dev eth0").contains("10.0.0.101/24"));
}

#[test]
fn an_address_that_cannot_be_announced_is_said_once_and_keeps_no_other_back() {
    let mut director = Director::start();
    director.host.ip("link add down0 type veth peer name down1");
    director.peer.ip("neighbour add 10.0.0.100 lladdr 02:00:00:00:00:99 dev eth0 nud stale");
    let mut held = holding(&["10.9.0.1/24", "10.0.0.100/24"]);
    held.addresses[0].interface = Some("down0".into());
    director.configure(held);
    director.hold();
    director.peer_shows("neighbour show 10.0.0.100", &director.mac());
    let report = director.report();
    assert!(report.contains("front: 1 addresses were not announced: first 10.9.0.1 on down0: "), "{report}");
    drop(director.keeper.take());
    assert!(director.reports.try_recv().is_err(), "it was said already");
}

#[test]
fn what_is_held_follows_the_configuration() {
    let director = Director::start();
    director.configure(holding(&["10.0.0.100/24", "10.0.0.101/24"]));
    director.hold();
    director.shows("-o address show dev eth0", "10.0.0.101/24");
    director.configure(holding(&["10.0.0.101/24", "10.0.0.102/24"]));
    director.shows("-o address show dev eth0", "10.0.0.102/24");
    director.shows_no("-o address show dev eth0", "10.0.0.100/24");
    assert!(director.host.ip("-o address show dev eth0").contains("10.0.0.101/24"));
}
