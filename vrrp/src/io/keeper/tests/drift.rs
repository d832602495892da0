use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::director::{Director, front, holding, until};
use crate::Tracked;
use crate::config::Config;
use crate::holding::Holding;
use crate::io::Link;
use crate::io::inbox::{Inbox, Told};
use crate::io::keeper::Setup;
use crate::io::namespace::Host;

#[test]
fn what_somebody_takes_off_is_put_back() {
    let mut director = Director::start();
    director.configure(holding(&["10.0.0.100/32", "fd00::100/128"]));
    director.hold();
    director.shows("-o address show dev eth0", "fd00::100/128");
    for address in ["10.0.0.100/32", "fd00::100/128"] {
        director.host.ip(&format!("address delete {address} dev eth0"));
        director.shows("-o address show dev eth0", address);
        let report = director.report();
        assert_eq!(report, format!("front: address {address} on eth0 was gone and has been put back"));
    }
}

#[test]
fn what_a_predecessor_has_left_is_taken_off() {
    let [host, peer] = Host::pair();
    host.ip("address add 10.0.0.100/24 dev eth0");
    host.ip("address add fd00::100/64 dev eth0 nodad");
    let mut director = Director::start_on(host, peer);
    director.configure(holding(&["10.0.0.100/32", "fd00::100/128"]));
    director.shows_no("-o address show dev eth0", "100/");
    let reports = [director.report(), director.report()].join("\n");
    assert!(reports.contains("10.0.0.100/32 on eth0 was there though it is not held"), "{reports}");
    assert!(reports.contains("fd00::100/128 on eth0 was there though it is not held"), "{reports}");

    director.host.ip("address add 10.0.0.100/24 dev eth0");
    director.shows_no("-o address show dev eth0", "100/");
}

#[test]
fn an_interface_that_comes_back_gets_its_addresses() {
    let mut director = Director::start();
    director.configure(holding(&["10.0.0.100/32"]));
    director.hold();
    director.shows("-o address show dev eth0", "10.0.0.100/32");
    director.host.ip("link delete eth0");
    let report = director.report();
    assert_eq!(
        report,
        "front: address 10.0.0.100/32 on eth0: there is no interface eth0; will be tried again"
    );
    Host::connect([&director.host, &director.peer]);
    director.shows("-o address show dev eth0", "10.0.0.100/32");
    assert_eq!(director.report(), "front: address 10.0.0.100/32 on eth0: done now");
}

#[test]
fn an_interface_that_gets_another_name_is_left_without_addresses() {
    let director = Director::start();
    director.configure(holding(&["10.0.0.100/32", "fd00::100/128"]));
    director.hold();
    director.shows("-o address show dev eth0", "fd00::100/128");
    director.host.ip("link set eth0 down");
    director.host.ip("link set eth0 name wan0");
    director.host.ip("link set wan0 up");
    director.shows_no("-o address show dev wan0", "100/");
    director.host.ip("link set wan0 down");
    director.host.ip("link set wan0 name eth0");
    director.host.ip("link set eth0 up");
    director.shows("-o address show dev eth0", "10.0.0.100/32");
    director.shows("-o address show dev eth0", "fd00::100/128");
}

#[test]
fn links_are_told_with_their_own_addresses() {
    let director = Director::start();
    director.configure(holding(&["10.0.0.100/24"]));
    let up = told(&director.inbox, |link| link.up);
    assert_eq!(
        up.sources,
        ["10.0.0.1", "fe80::1"].map(|address| address.parse::<std::net::IpAddr>().unwrap())
    );
    director.host.ip("address add 10.0.0.7/24 dev eth0");
    let more = told(&director.inbox, |link| link.sources.len() == 3);
    assert_eq!(more.index, up.index);
    director.hold();
    director.peer.ip("link set eth0 down");
    let down = told(&director.inbox, |link| !link.up);
    assert!(!down.sources.contains(&"10.0.0.100".parse().unwrap()), "{down:?}");
    director.host.ip("link delete eth0");
    told(&director.inbox, |link| link.index == 0);
}

#[test]
fn tracked_interfaces_are_told_though_nobody_reads_reports() {
    let director = Director::start();
    let watched = BTreeSet::from(["eth0".into(), "eth9".into()]);
    // More failures than reports have room for.
    let addresses: Vec<_> =
        (0..1100).map(|number| format!("10.{}.{}.1/32", number / 256, number % 256)).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let lost = Holding { interface: "eth8".into(), ..holding(&addresses) };
    let holdings = BTreeMap::from([(front(), Arc::new(lost))]);
    director.keeper.as_ref().unwrap().configure(Setup { watched, holdings, config: Config::default() });
    director.hold();
    let mut states = BTreeMap::new();
    let mut state = |wanted: [Tracked; 2]| {
        let ask = || {
            let mut batch = Vec::new();
            director.inbox.take(&mut batch);
            for told in batch {
                if let Told::Track { key, state } = told {
                    states.insert(key, state);
                }
            }
            ["interface eth0", "interface eth9"].map(|key| states.get(key).copied())
        };
        until(ask, |states| *states == wanted.map(Some), "the states");
    };
    state([Tracked::Up, Tracked::Down]);
    until(|| director.reports.len(), |waiting| *waiting == director.reports.max_capacity(), "reports");
    director.peer.ip("link set eth0 down");
    state([Tracked::Down, Tracked::Down]);
}

fn told(inbox: &Inbox, good: impl Fn(&Link) -> bool) -> Link {
    let ask = || {
        let mut batch = Vec::new();
        inbox.take(&mut batch);
        batch.into_iter().find_map(|told| match told {
            Told::Link(link) if good(&link) => Some(link),
            _ => None,
        })
    };
    until(ask, Option::is_some, "what is told of the link").unwrap()
}
