//! Other configurations for a machine that runs.

use tidegate_vrrp::config::{Family, Router, Version};
use tidegate_vrrp::{Input, Obstacle, State};

use crate::support::{Director, SECOND, ip, router, words};

fn front() -> Router {
    router("front", Version::V3, Family::Ipv4)
}

fn active() -> Director {
    let (mut director, _) = Director::new([front()]);
    director.tick();
    director.now += SECOND / 2;
    director
}

const NOTHING: [&str; 0] = [];
const LEAVES: [&str; 2] = ["advertise front 0", "front active to resigning: Reconfigured"];

#[test]
fn what_stays_the_same_stays_as_it_is() {
    let mut director = active();
    let before = director.machine.deadline();
    assert_eq!(director.reload([front()]), []);
    assert_eq!(director.machine.deadline(), before);
}

#[test]
fn what_the_others_have_to_know_is_told_at_once() {
    let mut director = active();
    let mut reload = |router| words(&director.reload([router]));
    assert_eq!(reload(Router { priority: 50, ..front() }), ["advertise front 50"]);
    assert_eq!(reload(Router { interval: 2 * SECOND, ..front() }), ["advertise front 100"]);
    let addresses = Router { addresses: [ip("192.0.2.11")].into(), ..front() };
    assert_eq!(reload(addresses), ["advertise front 100", "hold front", "announce front"]);
    assert_eq!(director.machine.deadline(), Some(director.now + SECOND));
}

#[test]
fn a_much_shorter_interval_is_no_stall() {
    let mut director = active();
    let shorter = Router { interval: SECOND / 100, ..front() };
    assert_eq!(words(&director.reload([shorter])), ["advertise front 100"]);
    assert_eq!(director.machine.deadline(), Some(director.now + SECOND / 100));
}

#[test]
fn what_is_configured_no_more_is_handed_over() {
    let mut director = active();
    assert_eq!(words(&director.reload([])), LEAVES);
    assert!(director.status("front").leaving);
    assert!(director.machine.failover(director.now, "front").is_err());
    let gone = ["release front", "front resigning to initialize: Succeeded { by: 192.0.2.9 }"];
    assert_eq!(words(&director.hear("front", 9, 1)), gone);
    assert_eq!(director.machine.status().count(), 0);
    assert_eq!(director.machine.deadline(), None);
}

#[test]
fn whoever_takes_a_name_or_a_router_id_waits_until_it_is_free() {
    for next in [
        Router { router_id: 52, ..front() },
        Router { version: Version::V2, ..front() },
        Router { name: "other".into(), ..front() },
    ] {
        let mut director = active();
        assert_eq!(words(&director.reload([next.clone()])), LEAVES);
        let mut waiting = director.machine.status().filter(|status| !status.leaving);
        assert_eq!(waiting.next().unwrap().obstacle, Some(Obstacle::Predecessor("front".into())));
        drop(waiting);
        let free = [
            "release front".into(),
            "front resigning to initialize: NoSuccessor".into(),
            format!("{} initialize to backup: Ready", next.name),
        ];
        assert_eq!(words(&director.tick()), free);
    }
}

#[test]
fn a_stop_lets_go_of_everything_and_starts_nothing() {
    let mut director = active();
    let back = Router { name: "back".into(), router_id: 52, ..front() };
    director.reload([front(), back.clone()]);
    assert!(!director.machine.is_idle());
    let actions = words(&director.handle(Input::Stop));
    let stopped = ["back backup to initialize: Stop", "advertise front 0", "front active to resigning: Stop"];
    assert_eq!(actions, stopped);
    assert!(!director.machine.is_idle());
    assert_eq!(words(&director.reload([back])), NOTHING);
    director.tick();
    assert!(director.machine.is_idle());
    assert_eq!(director.state("back"), State::Initialize);
    assert_eq!(director.status("back").obstacle, Some(Obstacle::Stop));
    assert_eq!(director.machine.deadline(), None);
}
