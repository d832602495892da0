//! What the standard leaves open or does not have: preemption, orders, stalls, announcements, tracks.

use std::time::Duration;

use tidegate_vrrp::config::{Announce, Effect, Family, Router, Track, Version};
use tidegate_vrrp::{Input, Obstacle, State, Tracked};

use crate::support::{Director, SECOND, router, words};

fn front() -> Router {
    router("front", Version::V3, Family::Ipv4)
}

/// Half a second into being Active.
fn active(router: Router) -> Director {
    let (mut director, _) = Director::new([router]);
    track(&mut director, Tracked::Up);
    director.tick();
    director.now += SECOND / 2;
    director
}

/// Another host says this twice a second. How long this router lets it be.
fn patience(director: &mut Director, priority: u8, most: Duration) -> Option<Duration> {
    let start = director.now;
    while director.state("front") == State::Backup {
        director.hear("front", 9, priority);
        director.now += SECOND / 2;
        director.handle(Input::Tick { heard: director.now });
        if director.now - start > most {
            return None;
        }
    }
    Some(director.now - start)
}

const DOWN: Duration = Duration::from_nanos(3_609_375_000);
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_lower_priority_is_let_be_as_configured() {
    let within = |router, priority| patience(&mut Director::new([router]).0, priority, MINUTE);
    assert_eq!(within(front(), 99), Some(4 * SECOND));
    assert_eq!(within(front(), 100), None);
    assert_eq!(within(Router { preempt: false, ..front() }, 99), None);
    // The last advert that counts is at 9.5 s.
    let delayed = within(Router { preempt_delay: 10 * SECOND, ..front() }, 99);
    assert_eq!(delayed, Some(Duration::from_millis(13_500)));
}

#[test]
fn what_was_handed_over_is_not_taken_back() {
    let order = || {
        let mut director = active(front());
        let actions = director.machine.failover(director.now, "front").unwrap();
        assert_eq!(words(&actions), ["advertise front 0", "front active to resigning: Failover"]);
        director.hear("front", 9, 1);
        assert!(director.status("front").yields);
        assert_eq!(patience(&mut director, 1, MINUTE), None);
        director
    };
    // Until the successor falls silent,
    let mut director = order();
    director.tick();
    assert_eq!(director.state("front"), State::Active);
    // or resigns,
    let mut director = order();
    director.hear("front", 9, 0);
    assert_eq!(patience(&mut director, 1, MINUTE).map(|time| time < DOWN), Some(true));
    // or a reload changes the priority.
    let mut director = order();
    assert_eq!(director.reload([Router { priority: 101, ..front() }]), []);
    // The last advert that counts was half a second ago.
    assert_eq!(patience(&mut director, 1, MINUTE), Some(4 * SECOND - SECOND / 2));
}

#[test]
fn only_who_is_active_can_hand_over() {
    let (mut director, _) = Director::new([front()]);
    let mut refused = |name| director.machine.failover(director.now, name).unwrap_err();
    assert_eq!(refused("front"), "front is backup: only an active router can hand over");
    assert_eq!(refused("back"), "no virtual router and no group is called \"back\"");
    let (mut owner, _) = Director::new([Router { priority: 255, ..front() }]);
    let refused = owner.machine.failover(owner.now, "front").unwrap_err();
    assert_eq!(refused, "front owns its addresses (priority 255) and keeps them");
}

#[test]
fn who_slept_for_longer_than_others_wait_lets_go_first() {
    let stall = |more| {
        let mut director = active(front());
        director.now += 3 * SECOND - SECOND / 2 + more;
        director
    };
    let moment = Duration::from_nanos(1);
    // Whatever comes first.
    for happen in [
        |director: &mut Director| director.handle(Input::Tick { heard: director.now }),
        |director: &mut Director| director.hear("front", 9, 99),
        |director: &mut Director| director.handle(Input::Stop),
        |director: &mut Director| director.reload([Router { priority: 1, ..front() }]),
        |director: &mut Director| {
            assert!(director.machine.failover(director.now, "front").is_err());
            director.handle(Input::Tick { heard: director.now })
        },
    ] {
        let mut director = stall(moment);
        let actions = words(&happen(&mut director));
        let expected = ["release front", "front active to backup: Stalled { gap: 3.000000001s }"];
        assert_eq!(actions[..2], expected);
    }
    assert_eq!(words(&stall(Duration::ZERO).tick()), ["advertise front 100"]);
}

/// What others have said since then waits to be told.
#[test]
fn silence_is_judged_as_far_as_was_heard() {
    let (mut director, _) = Director::new([front()]);
    let heard = director.now + DOWN - Duration::from_nanos(1);
    director.now += MINUTE;
    assert_eq!(director.handle(Input::Tick { heard }), []);
    assert_eq!(director.state("front"), State::Backup);
    director.handle(Input::Tick { heard: heard + Duration::from_nanos(1) });
    assert_eq!(director.state("front"), State::Active);

    let mut director = active(front());
    let _order = director.machine.failover(director.now, "front").unwrap();
    let heard = director.now + 4 * SECOND - Duration::from_nanos(1);
    director.now += 4 * SECOND;
    assert_eq!(director.handle(Input::Tick { heard }), []);
    assert_eq!(words(&director.hear("front", 9, 99))[0], "release front");

    // Nobody's silence is behind an advert.
    let mut director = active(front());
    let heard = director.now;
    director.now += SECOND / 2;
    assert_eq!(words(&director.handle(Input::Tick { heard })), ["advertise front 100"]);
}

#[test]
fn a_takeover_is_announced_again_and_then_from_time_to_time() {
    let times = |delay, refresh| {
        let announce = Announce { count: 5, delay, refresh };
        let (mut director, _) = Director::new([Router { announce, ..front() }]);
        let mut times = Vec::new();
        director.tick();
        let start = director.now;
        while director.now - start < 12 * SECOND {
            let actions = director.tick();
            times.extend(words(&actions).contains(&"announce front".into()).then(|| director.now - start));
        }
        times
    };
    let nothing = Duration::ZERO;
    assert_eq!(times(5 * SECOND, nothing), [5 * SECOND]);
    assert_eq!(times(nothing, nothing), []);
    assert_eq!(times(5 * SECOND, 3 * SECOND), [5 * SECOND, 8 * SECOND, 11 * SECOND]);
    assert_eq!(times(nothing, 4 * SECOND), [4 * SECOND, 8 * SECOND, 12 * SECOND]);
}

#[test]
fn the_last_word_is_not_a_lower_ones() {
    let mut director = active(front());
    assert_eq!(words(&director.hear("front", 9, 99)), ["advertise front 100"]);
    director.hear("front", 9, 99);
    assert_eq!(words(&director.tick()), ["announce front"]);
    assert_eq!(words(&director.tick()), ["advertise front 100"]);
}

fn tracking(effect: Effect) -> Router {
    Router { tracks: vec![Track { key: "disk".into(), effect }], ..front() }
}

fn track(director: &mut Director, state: Tracked) -> Vec<String> {
    words(&director.handle(Input::Track { key: "disk".into(), state }))
}

#[test]
fn the_priority_follows_what_is_tracked_and_is_told_at_once() {
    for (weight, state, priority) in [
        (-40, Tracked::Unknown, 100),
        (-40, Tracked::Up, 100),
        (-40, Tracked::Down, 60),
        (40, Tracked::Unknown, 140),
        (40, Tracked::Up, 140),
        (40, Tracked::Down, 100),
        (-200, Tracked::Down, 1),
        (200, Tracked::Up, 254),
        (2, Tracked::Number(-7), 86),
        (i16::MAX, Tracked::Number(i32::MAX), 254),
        (i16::MIN, Tracked::Number(i32::MAX), 1),
    ] {
        let mut director = active(tracking(Effect::Weight(weight)));
        let before = director.status("front").priority;
        let told = track(&mut director, state);
        let expected = if before == priority { vec![] } else { vec![format!("advertise front {priority}")] };
        assert_eq!(told, expected);
        let status = director.status("front");
        assert_eq!(status.priority, priority);
        assert_eq!(status.tracks[0].state, state);
        assert_eq!((100 + status.tracks[0].adds).clamp(1, 254), i64::from(priority));
    }
}

#[test]
fn an_owner_keeps_its_priority() {
    let owner = Router { priority: 255, ..tracking(Effect::Weight(-40)) };
    let (mut director, _) = Director::new([owner]);
    track(&mut director, Tracked::Up);
    assert_eq!(track(&mut director, Tracked::Down), [""; 0]);
    assert_eq!(director.status("front").priority, 255);
}

/// Or a director that comes back would take the addresses from a sound one, and lose them again at the verdict.
#[test]
fn nobody_starts_before_the_verdict_on_a_weight() {
    for (weight, state, priority) in
        [(-60, Tracked::Down, 40), (60, Tracked::Down, 100), (-3, Tracked::Number(9), 73)]
    {
        let (mut director, actions) = Director::new([tracking(Effect::Weight(weight))]);
        assert_eq!(actions, []);
        assert_eq!(director.tick(), []);
        assert_eq!(director.status("front").obstacle, Some(Obstacle::TrackUnknown("disk".into())));
        assert_eq!(track(&mut director, state), ["front initialize to backup: Ready"]);
        assert_eq!(director.status("front").priority, priority);
        // Who runs already goes on.
        assert_eq!(track(&mut director, Tracked::Unknown), [""; 0]);
        assert_eq!(director.state("front"), State::Backup);
    }
}

#[test]
fn nobody_starts_before_what_is_a_fault_is_known() {
    let (mut director, actions) = Director::new([tracking(Effect::Fault)]);
    assert_eq!(actions, []);
    assert_eq!(director.status("front").obstacle, Some(Obstacle::TrackUnknown("disk".into())));
    assert_eq!(track(&mut director, Tracked::Number(1)), [""; 0]);
    assert_eq!(director.status("front").obstacle, Some(Obstacle::TrackDown("disk".into())));
    assert_eq!(track(&mut director, Tracked::Number(0)), ["front initialize to backup: Ready"]);
    // Who runs already goes on.
    assert_eq!(track(&mut director, Tracked::Unknown), [""; 0]);
    let fault = "front backup to initialize: Fault { track: \"disk\" }";
    assert_eq!(track(&mut director, Tracked::Down), [fault]);
}
