//! The protection seen from outside, one rule at a time; random histories are in `properties`.

mod idle;
mod properties;
mod support;

use std::time::Duration;

use super::*;
use crate::tests::support::address;
use crate::{Event, Health};
use OutcomeKind::{AnswerTimeout, ConnectTimeout, Passed, Refused, Unreachable, WrongAnswer};
use support::{Bench, QUICK};

const SECOND: Duration = Duration::from_secs(1);

/// A server with so many slots and a residence of one second, to which `offered` come each half second.
fn saturate(bench: &mut Bench, host: u8, slots: u64, offered: u64, seconds: u32) {
    for step in 0..seconds * 2 {
        let active = bench.load(host).active;
        let end = active.min(slots) / 2;
        let room = bench.cap(host).map_or(u64::MAX, u64::from).saturating_sub(active - end);
        bench.serve(host, offered.min(room), end);
        bench.turn_away(offered.saturating_sub(room));
        bench.sample();
        if step % 4 == 0 {
            let waiting = bench.load(host).active.saturating_sub(slots);
            bench.check_after(host, Passed, QUICK + SECOND.mul_f64(waiting as f64 / slots as f64));
        }
    }
}

#[test]
fn nothing_is_capped_without_evidence() {
    let mut bench = Bench::new(1);
    saturate(&mut bench, 1, 1_000, 400, 120);
    assert_eq!(bench.cap(1), None);
}

#[test]
fn a_saturated_server_is_capped_at_what_its_slots_hold() {
    let mut bench = Bench::new(1);
    saturate(&mut bench, 1, 1_000, 400, 120);
    saturate(&mut bench, 1, 1_000, 700, 90);
    let cap = bench.cap(1).unwrap();
    assert!((950..1_150).contains(&cap), "{cap}");
    let status = bench.server(1).overload.unwrap();
    assert!((status.rate - 1_000.0).abs() < 60.0 && status.sureness == 1.0, "{status:?}");
}

#[test]
fn requests_that_take_longer_while_checks_do_not_wait_are_no_overload() {
    let mut bench = Bench::new(1);
    saturate(&mut bench, 1, 1_000, 400, 120);
    // Twice the residence: a quarter of what is there ends in half a second, and twice as many are there.
    for step in 0..240 {
        let active = bench.load(1).active;
        bench.serve(1, 400, active / 4);
        bench.sample();
        if step % 4 == 0 {
            bench.check(1, Passed);
        }
    }
    assert!(bench.load(1).active > 1_500);
    assert_eq!(bench.cap(1), None);
}

#[test]
fn a_server_that_refuses_while_it_serves_is_cut_at_once() {
    let mut bench = Bench::new(2);
    bench.run(20, &[(1, 100), (2, 100)]);
    bench.refuse(1, 10);
    bench.serve(1, 100, 100);
    bench.sample();
    assert!(bench.cap(1).unwrap() <= 80, "{:?}", bench.cap(1));
    assert_eq!(bench.cap(2), None);
}

#[test]
fn a_busy_server_stays_whatever_its_check_says() {
    for kind in [AnswerTimeout, ConnectTimeout, Refused, OutcomeKind::Reset] {
        let mut bench = Bench::new(2);
        bench.run(5, &[(1, 100), (2, 100)]);
        for _ in 0..3 {
            bench.check(1, kind);
            bench.run(2, &[(1, 100), (2, 100)]);
        }
        let server = bench.server(1);
        assert!(matches!(server.health, Health::Down { .. }), "{kind}");
        assert_eq!((server.weight, server.overload.unwrap().stand), (10, Stand::Kept), "{kind}");
        assert!(bench.events.iter().any(|it| matches!(it, Event::Health { healthy: false, kept: true, .. })));
        assert!(!bench.told("stays in service"), "it has been said");
        // It serves no more: then the checks are right.
        bench.run(4, &[(2, 100)]);
        bench.give(1, 5);
        bench.run(4, &[(2, 100)]);
        assert_eq!(bench.weights(), [0, 10], "{kind}");
    }
}

#[test]
fn a_server_that_answers_nobody_is_dead_at_its_first_failed_check() {
    for kind in [Refused, ConnectTimeout, AnswerTimeout] {
        let mut bench = Bench::new(3);
        bench.run(5, &[(1, 100), (2, 100), (3, 100)]);
        bench.give(1, 20);
        bench.run(4, &[(2, 100), (3, 100)]);
        bench.check(1, kind);
        assert_eq!(bench.weights(), [0, 10, 10], "{kind}");
    }
}

#[test]
fn an_idle_server_is_asked_as_often_as_configured() {
    let mut bench = Bench::new(2);
    bench.run(5, &[(2, 100)]);
    bench.check(1, Refused);
    bench.check(1, Refused);
    assert_eq!(bench.weights(), [10, 10]);
    bench.check(1, Refused);
    assert_eq!(bench.weights(), [0, 10]);
}

#[test]
fn a_server_that_cannot_be_reached_is_dead_at_once() {
    let mut bench = Bench::new(2);
    bench.run(5, &[(1, 100), (2, 100)]);
    bench.check(1, Unreachable);
    assert_eq!(bench.weights(), [0, 10]);
}

#[test]
fn when_most_fall_silent_the_network_is_asked_again() {
    let mut bench = Bench::new(3);
    bench.run(5, &[(1, 100), (2, 100), (3, 100)]);
    for host in 1..=3 {
        bench.give(host, 20);
    }
    bench.run(4, &[]);
    bench.check(1, ConnectTimeout);
    bench.check(1, ConnectTimeout);
    assert_eq!(bench.weights(), [10, 10, 10]);
    bench.check(1, ConnectTimeout);
    assert_eq!(bench.weights(), [0, 10, 10]);
}

#[test]
fn timeouts_during_a_stall_of_the_director_say_nothing() {
    let mut bench = Bench::new(1);
    bench.run(5, &[(1, 100)]);
    bench.later(6 * SECOND);
    for _ in 0..5 {
        bench.check(1, AnswerTimeout);
    }
    bench.run(1, &[(1, 100)]);
    bench.check_after(1, AnswerTimeout, 3 * SECOND);
    assert!(matches!(bench.server(1).health, Health::Up { .. }));
    assert_eq!(bench.server(1).checks().next().unwrap().last().unwrap().times, 6, "they are shown");
}

#[test]
fn wrong_answers_eject_only_as_many_as_the_others_can_bear() {
    let mut bench = Bench::new(8);
    let all: Vec<_> = (1..=8).map(|host| (host, 100)).collect();
    bench.run(5, &all);
    let wrong = |bench: &mut Bench, host| (0..3).for_each(|_| bench.check(host, WrongAnswer));
    wrong(&mut bench, 1);
    assert_eq!(bench.out(), [0_u8; 0], "until the next sample");
    bench.run(1, &all);
    assert_eq!(bench.out(), [1]);
    // The second one is not yet correlated, but comes too soon after the first.
    wrong(&mut bench, 2);
    bench.run(1, &all);
    assert_eq!(bench.out(), [1]);
    bench.run(3, &all);
    assert_eq!(bench.out(), [1, 2]);
    // Who is out has no clients; the others go on.
    bench.run(3, &all[2..]);
    assert_eq!(bench.out(), [1, 2]);
    (1..=2).for_each(|host| bench.check(host, WrongAnswer));
    // A third one within eight seconds is more than a quarter of the pool, and speaks for another cause.
    wrong(&mut bench, 3);
    bench.run(1, &all);
    assert_eq!(bench.out(), [0_u8; 0]);
    assert!(bench.server(3).weight == 10);
}

#[test]
fn a_single_server_follows_its_checks_so_that_the_sorry_server_can_serve() {
    let mut bench = Bench::new(1);
    bench.run(5, &[(1, 100)]);
    (0..3).for_each(|_| bench.check(1, WrongAnswer));
    assert_eq!(bench.weights(), [0]);
}

fn kill(bench: &mut Bench, host: u8) {
    bench.give(host, 20);
    bench.run(4, &[(2, 100), (3, 100)]);
    bench.check(host, ConnectTimeout);
    assert_eq!(bench.server(host).weight, 0);
}

fn revive(bench: &mut Bench, host: u8) {
    bench.check(host, Passed);
    bench.check(host, Passed);
}

#[test]
fn a_server_that_returns_is_given_more_and_more() {
    let mut bench = Bench::new(3);
    bench.run(5, &[(1, 100), (2, 100), (3, 100)]);
    kill(&mut bench, 1);
    revive(&mut bench, 1);
    let mut caps = vec![bench.cap(1).unwrap()];
    for _ in 0..4 {
        bench.run(4, &[(2, 100), (3, 100)]);
        caps.push(bench.cap(1).unwrap());
    }
    assert!(caps[0] <= 10 && caps.is_sorted() && caps[4] > 50, "{caps:?}");
    bench.run(6, &[(2, 100), (3, 100)]);
    assert_eq!(bench.cap(1), None);
}

#[test]
fn a_server_that_falls_again_and_again_waits_unless_it_is_needed() {
    let mut bench = Bench::new(3);
    bench.run(5, &[(1, 100), (2, 100), (3, 100)]);
    for _ in 0..3 {
        kill(&mut bench, 1);
        revive(&mut bench, 1);
    }
    assert_eq!((bench.server(1).weight, bench.server(1).overload.unwrap().stand), (0, Stand::Held));
    assert!(bench.told("waits"));
    bench.run(2, &[(2, 100), (3, 100)]);
    assert_eq!(bench.server(1).weight, 0);
    bench.turn_away(50);
    bench.run(1, &[(2, 100), (3, 100)]);
    assert_eq!(bench.server(1).weight, 10);
}

#[test]
fn patience_with_a_server_comes_back_with_time() {
    let mut bench = Bench::new(3);
    bench.run(5, &[(1, 100), (2, 100), (3, 100)]);
    for _ in 0..3 {
        kill(&mut bench, 1);
        revive(&mut bench, 1);
    }
    bench.run(150, &[(2, 100), (3, 100)]);
    assert_eq!(bench.server(1).weight, 10);
}

#[test]
fn without_samples_the_checks_decide_alone() {
    let mut bench = Bench::new(2);
    bench.run(5, &[(1, 100), (2, 100)]);
    for _ in 0..3 {
        bench.check(1, AnswerTimeout);
    }
    assert_eq!(bench.weights(), [10, 10]);
    let deadline = bench.engine.deadline().unwrap();
    bench.later(deadline - bench.now);
    bench.tick();
    assert_eq!(bench.weights(), [0, 10]);
    assert_eq!(bench.engine.deadline(), None);
    assert!(!bench.pool_status().sampled);
}

#[test]
fn what_was_learned_is_there_after_a_restart_and_nonsense_is_not() {
    let mut bench = Bench::new(1);
    saturate(&mut bench, 1, 1_000, 400, 120);
    saturate(&mut bench, 1, 1_000, 700, 60);
    let learned = bench.engine.learned();
    assert_eq!(learned.real_servers.len(), 1);
    let mut other = Bench::new(1);
    other.engine.recall(&learned);
    assert_eq!(other.engine.learned().real_servers[0].cap, learned.real_servers[0].cap);
    other.run(1, &[(1, 10)]);
    assert_eq!(other.cap(1), bench.server(1).overload.unwrap().learned);

    for nonsense in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
        let mut broken = learned.clone();
        broken.real_servers[0].residence = nonsense;
        let mut other = Bench::new(1);
        other.engine.recall(&broken);
        assert_eq!(other.engine.learned(), Learned::default());
        broken.real_servers[0].residence = 1.0;
        (broken.real_servers[0].cap, broken.real_servers[0].latency) = (Some(nonsense), Some(nonsense));
        other.engine.recall(&broken);
        other.run(2, &[(1, 10)]);
        assert_eq!(other.cap(1), None);
    }
}

#[test]
fn the_status_shows_demand_against_capacity() {
    let mut bench = Bench::new(1);
    saturate(&mut bench, 1, 1_000, 400, 120);
    let status = bench.pool_status();
    assert!((status.demand - 800.0).abs() < 20.0 && status.capacity.is_none(), "{status:?}");
    saturate(&mut bench, 1, 1_000, 700, 90);
    let status = bench.pool_status();
    assert!((status.turned_away - 400.0).abs() < 100.0, "{status:?}");
    assert!((status.capacity.unwrap() - 1_000.0).abs() < 150.0, "{status:?}");
    assert!(status.demand > 1.3 * status.capacity.unwrap(), "{status:?}");
}

#[test]
fn a_reload_keeps_what_is_known_of_servers_that_stay() {
    let mut bench = Bench::new(2);
    bench.run(20, &[(1, 100), (2, 100)]);
    bench.refuse(1, 10);
    bench.serve(1, 100, 100);
    bench.sample();
    let cap = bench.cap(1);
    assert!(cap.is_some());
    bench.resize(1);
    assert_eq!(bench.cap(1), cap);
    bench.resize(3);
    assert_eq!((bench.cap(1), bench.cap(2), bench.cap(3)), (cap, None, None));
    bench.bound(5);
    assert_eq!((bench.cap(1), bench.cap(3)), (Some(5), Some(5)));
    bench.bound(0);
    bench.sample();
    assert_eq!((bench.cap(1), bench.cap(3)), (cap, None));
    assert_eq!(bench.events.iter().filter(|it| matches!(it, Event::Overload { .. })).count(), 0);
    assert_eq!(bench.server(3).address, address(3));
}

#[test]
fn a_server_that_has_crashed_is_out_with_the_next_check_after_a_sample() {
    let mut bench = Bench::new(2);
    bench.run(5, &[(1, 100), (2, 100)]);
    bench.check(1, Refused);
    assert_eq!(bench.weights(), [10, 10], "it may be full");
    // This sample began before the check.
    bench.refuse(1, 50);
    bench.serve(1, 0, 100);
    bench.sample();
    for _ in 0..2 {
        bench.refuse(1, 100);
        bench.sample();
    }
    bench.check(1, Refused);
    assert_eq!(bench.weights(), [0, 10]);
}

#[test]
fn what_comes_out_of_a_silence_is_no_refusal() {
    let mut bench = Bench::new(1);
    bench.run(20, &[(1, 100)]);
    for _ in 0..4 {
        bench.give(1, 100);
        bench.sample();
    }
    // The connects of that time fail, and the server goes on.
    for _ in 0..4 {
        bench.refuse(1, 100);
        bench.serve(1, 100, 100);
        bench.sample();
    }
    assert_eq!(bench.cap(1), None);
    bench.run(10, &[(1, 100)]);
    bench.refuse(1, 100);
    bench.run(1, &[(1, 100)]);
    assert!(bench.cap(1).is_some(), "that one is about now");
}

#[test]
fn a_server_is_cut_once_for_one_queue() {
    let mut bench = Bench::new(1);
    saturate(&mut bench, 1, 1_000, 400, 120);
    saturate(&mut bench, 1, 1_000, 700, 12);
    let cut = bench.cap(1).unwrap();
    for _ in 0..20 {
        saturate(&mut bench, 1, 1_000, 700, 2);
        assert!(bench.cap(1).unwrap() >= cut, "{cut}");
    }
}

#[test]
fn a_pool_that_waits_tells_for_a_server_whose_own_check_has_not_come_back() {
    let mut bench = Bench::new(3);
    for _ in 0..60 {
        (1..=3).for_each(|host| bench.check(host, Passed));
        bench.run(2, &[(1, 100), (2, 100), (3, 100)]);
    }
    // All three are given more than they can do; only two checks say so.
    for step in 0..6 {
        for host in 1..=3 {
            bench.serve(host, 200, 100);
        }
        bench.sample();
        if step > 1 {
            (1..=2).for_each(|host| bench.check_after(host, Passed, SECOND));
        }
    }
    assert!((1..=3).all(|host| bench.cap(host).is_some()), "{:?}", bench.cap(3));
}

#[test]
fn a_server_whose_answers_go_another_way_is_known_by_its_active_connections() {
    let mut bench = Bench::new(2);
    bench.blindfold();
    let busy = |bench: &mut Bench, hosts: &[u8]| {
        for step in 0..10 {
            for host in hosts {
                bench.serve(*host, 100, if step % 2 == 0 { 90 } else { 110 });
            }
            bench.sample();
        }
    };
    busy(&mut bench, &[1, 2]);
    bench.check(1, AnswerTimeout);
    assert_eq!(bench.weights(), [10, 10], "it is busy");
    for _ in 0..6 {
        bench.knock(1, 100);
        bench.serve(2, 100, 90);
        bench.sample();
    }
    bench.check(1, AnswerTimeout);
    assert_eq!(bench.weights(), [0, 10], "clients knock and nobody opens");
}

#[test]
fn a_refusal_where_no_handshake_is_seen_counts_as_the_check_says() {
    let mut bench = Bench::new(2);
    bench.datagrams();
    bench.run(5, &[(1, 100), (2, 100)]);
    (0..3).for_each(|_| bench.check(1, Refused));
    assert_eq!(bench.weights(), [0, 10]);
}

#[test]
fn with_a_sorry_server_wrong_answers_are_believed() {
    let mut bench = Bench::new(3);
    bench.apologise();
    bench.run(5, &[(1, 100), (2, 100), (3, 100)]);
    for host in 1..=3 {
        (0..3).for_each(|_| bench.check(host, WrongAnswer));
    }
    assert_eq!(bench.pool(), [0, 0, 0]);
}

#[test]
fn where_clients_have_no_other_server_one_that_returns_takes_all_of_its_own() {
    let mut bench = Bench::new(3);
    bench.bind_clients();
    bench.run(5, &[(1, 100), (2, 100), (3, 100)]);
    kill(&mut bench, 1);
    revive(&mut bench, 1);
    assert_eq!((bench.cap(1), bench.weights()), (None, vec![10, 10, 10]));
}

/// Connections that last for hours.
fn hold(bench: &mut Bench, connections: u64) {
    bench.serve(1, connections, 0);
    for _ in 0..20 {
        bench.answer(1);
        bench.sample();
        bench.check(1, Passed);
    }
}

#[test]
fn one_late_check_caps_nobody_of_whom_nothing_is_known() {
    let mut bench = Bench::new(1);
    hold(&mut bench, 100);
    bench.check(1, AnswerTimeout);
    bench.answer(1);
    bench.sample();
    assert_eq!(bench.cap(1), None);
    bench.check(1, AnswerTimeout);
    bench.answer(1);
    bench.sample();
    assert!(bench.cap(1).is_some_and(|cap| cap < 70));
    // They do not go, checks are quick again: it bears them, and more.
    for _ in 0..4 {
        hold(&mut bench, 0);
    }
    assert!(bench.cap(1).unwrap() >= 100, "{:?}", bench.cap(1));
    for _ in 0..10 {
        let room = u64::from(bench.cap(1).unwrap()).saturating_sub(bench.load(1).active);
        hold(&mut bench, room);
    }
    assert!(bench.cap(1).unwrap() >= 110, "{:?}", bench.cap(1));
}

#[test]
fn a_server_that_goes_away_while_it_serves_its_last_clients_returns_as_it_was() {
    let mut bench = Bench::new(2);
    bench.run(20, &[(1, 100), (2, 100)]);
    for left in (1..=9).rev() {
        bench.refuse(1, 20);
        bench.serve(1, 0, bench.load(1).active - left * 10);
        bench.sample();
    }
    assert!(bench.cap(1).is_some());
    bench.serve(1, 0, 10);
    for _ in 0..6 {
        bench.refuse(1, 20);
        bench.sample();
        bench.check(1, Refused);
    }
    assert_eq!(bench.weights(), [0, 10]);
    revive(&mut bench, 1);
    bench.run(25, &[(1, 100), (2, 100)]);
    assert_eq!(bench.cap(1), None);
}

#[test]
fn who_is_never_seen_with_a_connection_has_no_residence() {
    let mut bench = Bench::new(1);
    for _ in 0..100 {
        bench.serve(1, 20, 20);
        bench.sample();
    }
    bench.serve(1, 50, 0);
    bench.sample();
    bench.check_after(1, Passed, SECOND);
    bench.sample();
    assert!(bench.cap(1).is_none_or(|cap| cap > 10), "{:?}", bench.cap(1));
}
