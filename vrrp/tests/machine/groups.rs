//! Routers that are Active together or not at all.

use tidegate_vrrp::config::{Effect, Family, Router, Track, Version};
use tidegate_vrrp::{Input, Obstacle, State, Tracked};

use crate::support::{Director, SECOND, router, words};

/// One of IPv4 on eth0 and one of IPv6 on eth1.
fn pair() -> [Router; 2] {
    let member = |name, family, interface: &str| Router {
        interface: interface.into(),
        group: Some("all".into()),
        ..router(name, Version::V3, family)
    };
    [member("four", Family::Ipv4, "eth0"), member("six", Family::Ipv6, "eth1")]
}

fn active() -> Director {
    let (mut director, _) = Director::new(pair());
    let taken = [
        "advertise four 100",
        "advertise six 100",
        "hold four",
        "hold six",
        "announce four",
        "announce six",
        "four backup to active: Silence",
        "six backup to active: Silence",
    ];
    assert_eq!(words(&director.tick()), taken);
    director.now += SECOND / 2;
    director
}

fn states(director: &Director) -> [State; 2] {
    ["four", "six"].map(|name| director.state(name))
}

#[test]
fn nobody_takes_over_while_one_hears_the_active_one() {
    let (mut director, _) = Director::new(pair());
    for _ in 0..60 {
        director.now += SECOND;
        director.hear("six", 9, 150);
        director.handle(Input::Tick { heard: director.now });
        assert_eq!(states(&director), [State::Backup; 2]);
    }
    // A resignation on one link counts on all: the Active one may have lost the other.
    director.hear("six", 9, 0);
    assert_eq!(director.machine.deadline(), Some(director.now + SECOND * 156 / 256));
    director.tick();
    assert_eq!(states(&director), [State::Active; 2]);
}

#[test]
fn who_is_outranked_on_one_link_holds_the_others_until_it_is_heard_there() {
    let mut director = active();
    let outranked = [
        "release six",
        "six active to backup: Outranked { by: fe80::9, priority: 101 }",
        "four active to resigning: Group { router: \"six\" }",
    ];
    assert_eq!(words(&director.hear("six", 9, 101)), outranked);
    assert_eq!(words(&director.hear("four", 9, 101))[0], "release four");
    assert_eq!(states(&director), [State::Backup; 2]);
}

#[test]
fn a_fault_of_one_is_a_fault_of_all() {
    let mut director = active();
    let down = [
        "advertise four 0",
        "four active to resigning: Group { router: \"six\" }",
        "release six",
        "six active to initialize: Link",
    ];
    assert_eq!(words(&director.link("eth1", false)), down);
    director.link("eth1", true);
    assert_eq!(states(&director), [State::Resigning, State::Initialize]);
    director.tick();
    assert_eq!(states(&director), [State::Backup; 2]);
    director.link("eth0", false);
    assert_eq!(director.status("six").obstacle, Some(Obstacle::Group("four".into())));
}

/// A reload has put it into the group of one that resigns for longer than the group waits.
#[test]
fn nobody_takes_over_while_one_resigns_for_good() {
    let [four, six] = pair();
    let fault = Track { key: "fault".into(), effect: Effect::Fault };
    let slow = Router { interval: SECOND * 10, tracks: vec![fault], ..four.clone() };
    let alone = Router { group: None, ..six.clone() };
    let (mut director, _) = Director::new([slow, alone]);
    let track = |director: &mut Director, state| director.handle(Input::Track { key: "fault".into(), state });
    track(&mut director, Tracked::Up);
    while states(&director) != [State::Active; 2] {
        director.tick();
    }
    track(&mut director, Tracked::Down);
    director.reload([four, six]);
    assert_eq!(states(&director), [State::Resigning; 2]);
    let until = director.now + SECOND * 40;
    let mut said = Vec::new();
    while director.now < until {
        said = words(&director.tick());
        assert_eq!(said.contains(&"advertise six 100".to_owned()), director.now == until, "{said:?}");
    }
    assert_eq!(said[0], "release four");
    assert_eq!(states(&director), [State::Active; 2]);
}

#[test]
fn an_order_is_for_the_whole_group() {
    for name in ["all", "four", "six"] {
        let mut director = active();
        director.machine.failover(director.now, name).unwrap();
        assert_eq!(states(&director), [State::Resigning; 2]);
        director.hear("four", 9, 50);
        assert_eq!(states(&director), [State::Backup, State::Resigning]);
        director.hear("six", 9, 50);
        assert_eq!(states(&director), [State::Backup; 2]);
    }
    let mut director = active();
    director.machine.failover(director.now, "all").unwrap();
    director.tick();
    assert_eq!(states(&director), [State::Active; 2]);
}

/// Host 4 has the lower address on one link and host 6 the higher one on the other: the most senior router that
/// hears such a rival decides, here that of IPv4.
#[test]
fn a_tie_that_contradicts_itself_is_decided_once() {
    let mut director = active();
    assert_eq!(words(&director.hear("six", 6, 100)), [""; 0]);
    assert_eq!(words(&director.hear("four", 4, 100)), ["advertise four 100"]);
    for _ in 0..10 {
        director.now += SECOND;
        director.handle(Input::Tick { heard: director.now });
        assert_eq!(words(&director.hear("six", 6, 100)), [""; 0]);
        director.hear("four", 4, 100);
    }
    assert_eq!(states(&director), [State::Active; 2]);
    // The other way round at once.
    director.hear("four", 6, 100);
    assert_eq!(states(&director), [State::Backup, State::Resigning]);
}

#[test]
fn a_tie_is_decided_where_the_most_senior_router_hears_nothing() {
    let mut director = active();
    let start = director.now;
    while director.state("six") == State::Active {
        director.hear("six", 6, 100);
        director.now += SECOND / 2;
        director.handle(Input::Tick { heard: director.now });
    }
    assert_eq!(director.now - start, 4 * SECOND + SECOND / 2);
    assert_eq!(states(&director), [State::Resigning, State::Backup]);
}

#[test]
fn a_new_member_joins_when_it_can() {
    let mut director = active();
    let tracks = vec![Track { key: "disk".into(), effect: Effect::Fault }];
    let third = Router { router_id: 52, name: "third".into(), tracks, ..pair()[0].clone() };
    assert_eq!(director.reload(pair().into_iter().chain([third])), []);
    let actions = director.handle(Input::Track { key: "disk".into(), state: Tracked::Up });
    let joined = [
        "advertise third 100",
        "hold third",
        "announce third",
        "third initialize to active: Group { router: \"four\" }",
    ];
    assert_eq!(words(&actions), joined);
}
