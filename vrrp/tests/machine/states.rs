//! Every state, every input, both versions: RFC 9568 §6.4 and RFC 3768 §6.4, and the state that is ours.
//!
//! The router has priority 100 and an interval of 2 s, its host's address ends with 5. In version 3 the others have
//! an interval of 1 s, in version 2 the same. Every row begins half a second after the state was entered.

use std::time::Duration;

use tidegate_vrrp::config::{Announce, Effect, Family, Router, Track, Version};
use tidegate_vrrp::packet::Advert;
use tidegate_vrrp::{Action, Input, State, Tracked};

use crate::support::{Director, SECOND, advert_of, router, words};

#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    /// With the link down.
    Initialize,
    Backup,
    /// Of host 9 at priority 150.
    Following,
    Active,
    /// By an operator's order.
    Resigning,
    /// For a fault.
    Ending,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Startup,
    Timer,
    /// From a host with this number, at this priority.
    Advert(u8, u8),
    Failover,
    Fault,
    LinkDown,
    Shutdown,
}

/// When the next timer fires.
#[derive(Debug, Clone, Copy)]
enum Timer {
    Never,
    /// As it was.
    Same,
    /// Adver_Timer.
    Advert,
    /// A moment after another Active was heard the addresses are announced again.
    Reassert,
    /// Active_Down_Interval, of the own interval.
    Down,
    /// Active_Down_Interval, of the other's.
    DownOfOther,
    /// Skew_Time, of the own interval.
    Skew,
    /// Skew_Time, of the other's.
    SkewOfOther,
    /// The end of the resignation.
    Resignation,
}

const HALF: Duration = Duration::from_millis(500);

fn subject(version: Version) -> Router {
    let announce = Announce { delay: Duration::ZERO, ..Announce::default() };
    let tracks = vec![Track { key: "disk".into(), effect: Effect::Fault }];
    Router { interval: 2 * SECOND, announce, tracks, ..router("front", version, Family::Ipv4) }
}

fn others(version: Version) -> Duration {
    if version == Version::V2 { 2 * SECOND } else { SECOND }
}

fn hear(director: &mut Director, host: u8, priority: u8) -> Vec<Action> {
    let router = director.status("front").router;
    let interval = others(router.version);
    director.receive(&router, host, &Advert { priority, interval, ..advert_of(&router) })
}

fn track(director: &mut Director, state: Tracked) -> Vec<Action> {
    director.handle(Input::Track { key: "disk".into(), state })
}

fn in_state(from: From, version: Version) -> Director {
    let (mut director, _) = Director::new([subject(version)]);
    match from {
        From::Initialize => drop((director.link("eth0", false), track(&mut director, Tracked::Up))),
        _ => drop(track(&mut director, Tracked::Up)),
    }
    if let From::Active | From::Resigning | From::Ending = from {
        director.tick();
    }
    match from {
        From::Following => drop(hear(&mut director, 9, 150)),
        From::Resigning => drop(director.machine.failover(director.now, "front").unwrap()),
        From::Ending => drop(track(&mut director, Tracked::Down)),
        From::Initialize | From::Backup | From::Active => {}
    }
    director.now += HALF;
    director
}

fn happen(director: &mut Director, event: Event) -> Vec<Action> {
    match event {
        Event::Startup => director.link("eth0", true),
        Event::Timer => director.tick(),
        Event::Advert(host, priority) => hear(director, host, priority),
        Event::Failover => director.machine.failover(director.now, "front").unwrap_or_default(),
        Event::Fault => track(director, Tracked::Down),
        Event::LinkDown => director.link("eth0", false),
        Event::Shutdown => director.handle(Input::Stop),
    }
}

fn after(timer: Timer, version: Version, same: Option<Duration>) -> Option<Duration> {
    let skew = |interval| if version == Version::V2 { SECOND } else { interval } * 156 / 256;
    let own = 2 * SECOND;
    match timer {
        Timer::Never => None,
        Timer::Same => same,
        Timer::Advert => Some(own),
        Timer::Reassert => Some(Duration::from_millis(100)),
        Timer::Down => Some(3 * own + skew(own)),
        Timer::DownOfOther => Some(3 * others(version) + skew(others(version))),
        Timer::Skew => Some(skew(own)),
        Timer::SkewOfOther => Some(skew(others(version))),
        Timer::Resignation => Some(4 * own),
    }
}

type Row<'a> = (Event, &'a [&'a str], State, Timer);

fn check(from: From, rows: &[Row<'_>]) {
    for version in [Version::V2, Version::V3] {
        for &(event, actions, state, timer) in rows {
            let mut director = in_state(from, version);
            let before = director.machine.deadline().map(|deadline| deadline - director.now);
            let done: Vec<_> = words(&happen(&mut director, event)).into_iter().map(short).collect();
            let what = format!("{version:?} {from:?} {event:?}");
            assert_eq!(done, actions, "{what}");
            assert_eq!(director.state("front"), state, "{what}");
            let next = director.machine.deadline().map(|deadline| deadline - director.now);
            assert_eq!(next, after(timer, version, before), "{what}");
        }
    }
}

/// There is one router only, and the states before and after are checked.
fn short(words: String) -> String {
    let words = words.replace(" front", "");
    match words.strip_prefix("front ").and_then(|change| change.split_once(": ")) {
        Some((_, reason)) => reason.split([' ', '{']).next().unwrap_or(reason).into(),
        None => words,
    }
}

const SILENCE: &[&str] = &["advertise 100", "hold", "announce", "Silence"];
const NO_SUCCESSOR: &[&str] = &["advertise 100", "hold", "announce", "NoSuccessor"];

#[test]
fn initialize() {
    check(
        From::Initialize,
        &[
            (Event::Startup, &["Ready"], State::Backup, Timer::Down),
            (Event::Timer, &[], State::Initialize, Timer::Never),
            (Event::Advert(9, 150), &[], State::Initialize, Timer::Never),
            (Event::Advert(9, 0), &[], State::Initialize, Timer::Never),
            (Event::Failover, &[], State::Initialize, Timer::Never),
            (Event::Fault, &[], State::Initialize, Timer::Never),
            (Event::LinkDown, &[], State::Initialize, Timer::Never),
            (Event::Shutdown, &[], State::Initialize, Timer::Never),
        ],
    );
}

#[test]
fn backup() {
    check(
        From::Backup,
        &[
            (Event::Startup, &[], State::Backup, Timer::Same),
            (Event::Timer, SILENCE, State::Active, Timer::Advert),
            (Event::Advert(9, 0), &[], State::Backup, Timer::Skew),
            (Event::Advert(9, 99), &[], State::Backup, Timer::Same),
            (Event::Advert(9, 100), &[], State::Backup, Timer::DownOfOther),
            (Event::Advert(1, 100), &[], State::Backup, Timer::DownOfOther),
            (Event::Advert(1, 101), &[], State::Backup, Timer::DownOfOther),
            (Event::Failover, &[], State::Backup, Timer::Same),
            (Event::Fault, &["Fault"], State::Initialize, Timer::Never),
            (Event::LinkDown, &["Link"], State::Initialize, Timer::Never),
            (Event::Shutdown, &["Stop"], State::Initialize, Timer::Never),
        ],
    );
    check(
        From::Following,
        &[
            (Event::Timer, SILENCE, State::Active, Timer::Advert),
            (Event::Advert(9, 0), &[], State::Backup, Timer::SkewOfOther),
            // Not the one that is followed.
            (Event::Advert(8, 0), &[], State::Backup, Timer::Same),
            (Event::Advert(8, 99), &[], State::Backup, Timer::Same),
            (Event::Advert(8, 100), &[], State::Backup, Timer::DownOfOther),
        ],
    );
}

#[test]
fn active() {
    check(
        From::Active,
        &[
            (Event::Startup, &[], State::Active, Timer::Same),
            (Event::Timer, &["advertise 100"], State::Active, Timer::Advert),
            (Event::Advert(9, 0), &["advertise 100"], State::Active, Timer::Advert),
            // RFC 3768 leaves these to the next advert, RFC 9568 does not.
            (Event::Advert(9, 99), &["advertise 100"], State::Active, Timer::Reassert),
            (Event::Advert(4, 100), &["advertise 100"], State::Active, Timer::Reassert),
            (Event::Advert(6, 100), &["release", "Outranked"], State::Backup, Timer::DownOfOther),
            (Event::Advert(4, 101), &["release", "Outranked"], State::Backup, Timer::DownOfOther),
            (Event::Failover, &["advertise 0", "Failover"], State::Resigning, Timer::Resignation),
            (Event::Fault, &["advertise 0", "Fault"], State::Resigning, Timer::Resignation),
            (Event::LinkDown, &["release", "Link"], State::Initialize, Timer::Never),
            (Event::Shutdown, &["advertise 0", "Stop"], State::Resigning, Timer::Resignation),
        ],
    );
}

#[test]
fn resigning() {
    check(
        From::Resigning,
        &[
            (Event::Startup, &[], State::Resigning, Timer::Same),
            (Event::Timer, NO_SUCCESSOR, State::Active, Timer::Advert),
            (Event::Advert(9, 0), &[], State::Resigning, Timer::Same),
            (Event::Advert(9, 1), &["release", "Succeeded"], State::Backup, Timer::DownOfOther),
            (Event::Advert(9, 254), &["release", "Succeeded"], State::Backup, Timer::DownOfOther),
            (Event::Failover, &[], State::Resigning, Timer::Same),
            (Event::Fault, &[], State::Resigning, Timer::Same),
            (Event::LinkDown, &["release", "Link"], State::Initialize, Timer::Never),
            (Event::Shutdown, &[], State::Resigning, Timer::Same),
        ],
    );
    check(
        From::Ending,
        &[
            (Event::Startup, &[], State::Resigning, Timer::Same),
            (Event::Timer, &["release", "NoSuccessor"], State::Initialize, Timer::Never),
            (Event::Advert(9, 0), &[], State::Resigning, Timer::Same),
            (Event::Advert(9, 1), &["release", "Succeeded"], State::Initialize, Timer::Never),
            (Event::Failover, &[], State::Resigning, Timer::Same),
            (Event::LinkDown, &["release", "Link"], State::Initialize, Timer::Never),
            (Event::Shutdown, &[], State::Resigning, Timer::Same),
        ],
    );
}
