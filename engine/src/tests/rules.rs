//! Each rule of the engine by an example that reads like the rule.

use std::net::SocketAddr;
use std::time::Duration;

use super::support::*;
use crate::*;

#[test]
fn verdicts_follow_rise_and_fall() {
    use Initially::{Down, Up};
    // Outcomes: p passed, f failed, n not run. States after each: ? unknown, + up, - down.
    for (rise, fall, initially, only_admission, outcomes, states) in [
        (2, 3, Down, false, "pffpfffpp", "++++++--+"),
        (2, 3, Down, false, "fpfpp", "----+"),
        (2, 3, Down, false, "nnp", "??+"),
        (2, 3, Down, false, "pfnfnf", "+++++-"),
        (2, 3, Up, false, "ffpfff", "+++++-"),
        (2, 3, Up, false, "fff", "++-"),
        (1, 1, Down, false, "pfpf", "+-+-"),
        (2, 1, Down, true, "fpnpffff", "---+++++"),
        (2, 1, Down, true, "pff", "+++"),
        (2, 1, Up, true, "fff", "+++"),
    ] {
        let rules = Check { rise, fall, initially, only_admission, ..check("c") };
        let mut bench = Bench::new(only(web(&[rules], &[1])));
        let mut seen = String::new();
        for outcome in outcomes.chars() {
            let kind = match outcome {
                'p' => OutcomeKind::Passed,
                'f' => OutcomeKind::WrongAnswer,
                _ => OutcomeKind::NotRun,
            };
            let _ = bench.see(probe(1, 0), kind);
            let server = bench.server(1);
            seen.push(match server.health {
                Health::Unknown { .. } => '?',
                Health::Up { .. } => '+',
                Health::Down { .. } => '-',
            });
            assert_eq!(server.weight, u32::from(server.health.is_up()));
        }
        assert_eq!(seen, states, "rise {rise} fall {fall} {initially:?} {only_admission} {outcomes}");
    }
}

#[test]
fn each_change_of_health_says_why() {
    let mut bench = Bench::new(only(VirtualServer { quorum: 0, ..web(&[check("c")], &[1, 1]) }));
    assert_eq!(bench.reason(1), "c: no outcome yet");
    assert_eq!(
        told(&bench.pass(2)),
        ["10.0.0.2 up by \"c\": first outcome: passed", "quorum gained at 1 for 0 ± 0"]
    );
    assert_eq!(told(&bench.fail(1)), ["10.0.0.1 down by \"c\": first outcome: connection refused"]);
    assert_eq!(told(&bench.pass(1)), [""; 0]);
    assert_eq!(told(&bench.pass(1)), ["10.0.0.1 up by \"c\": 2 passes in a row (rise 2)"]);
    assert_eq!(
        told(&fail_three_times(&mut bench, 1)),
        ["10.0.0.1 down by \"c\": 3 failures in a row (fall 3), the last: connection refused"]
    );
    assert_eq!(bench.reason(1), "c: 3 failures in a row (fall 3), the last: connection refused");

    let eager = Check { rise: 1, fall: 1, ..check("c") };
    let _ = bench.reload(only(VirtualServer { quorum: 0, ..web(&[eager], &[1, 1]) }));
    assert_eq!(told(&bench.pass(1)), ["10.0.0.1 up by \"c\": 1 pass (rise 1)"]);
    assert_eq!(told(&bench.fail(1)), ["10.0.0.1 down by \"c\": 1 failure (fall 1): connection refused"]);
}

#[test]
fn an_outcome_is_shown_with_its_detail() {
    let outcome = |kind, detail: &str| Outcome { kind, detail: detail.into(), advice: None }.to_string();
    assert_eq!(outcome(OutcomeKind::WrongAnswer, "status 503"), "wrong answer: status 503");
    assert_eq!(outcome(OutcomeKind::ConnectTimeout, ""), "timed out in connect");
}

#[test]
fn without_checks_a_server_is_always_healthy() {
    let bench = Bench::new(only(web(&[], &[3])));
    assert_eq!(bench.weights(), [3]);
    assert_eq!(bench.reason(1), "no checks");
    assert!(bench.quorum().held);
}

#[test]
fn all_checks_must_pass_and_the_reason_names_one_that_does_not() {
    let mut bench = Bench::new(only(web(&[check("a"), check("b")], &[1])));
    assert_eq!(told(&bench.see(probe(1, 0), OutcomeKind::Passed)), [""; 0]);
    assert_eq!(bench.reason(1), "b: no outcome yet");
    let _ = bench.see(probe(1, 1), OutcomeKind::Passed);
    assert_eq!((bench.weights(), bench.reason(1)), (vec![1], "b: first outcome: passed".to_owned()));

    for check in [1, 0] {
        for _ in 0..3 {
            let _ = bench.see(probe(1, check), OutcomeKind::Reset);
        }
        assert_eq!(bench.reason(1).split(':').next(), Some("b"), "the first check that failed decides");
    }
    for _ in 0..2 {
        assert_eq!(told(&bench.see(probe(1, 1), OutcomeKind::Passed)), [""; 0]);
    }
    assert_eq!(bench.reason(1), "a: still down, the last failure: connection reset");
    assert_eq!(bench.weights(), [0]);
}

#[test]
fn the_reason_follows_the_check_that_holds_a_down_server_back() {
    let mut bench = Bench::new(only(web(&[check("a"), check("b")], &[1])));
    let _ = bench.see(probe(1, 0), OutcomeKind::Refused);
    let _ = (bench.pass(1), bench.pass(1));
    assert_eq!(bench.reason(1), "b: no outcome yet");
    assert_eq!(told(&bench.see(probe(1, 1), OutcomeKind::Tls)), [""; 0]);
    assert_eq!(bench.reason(1), "b: first outcome: TLS failed");
}

#[test]
fn what_could_not_be_run_is_shown_and_changes_nothing() {
    let mut bench = ramping();
    let _ = (bench.fail(1), bench.fail(1));
    assert_eq!(bench.see(probe(1, 0), OutcomeKind::NotRun), Effects::default());
    let check = bench.server(1).checks().next().unwrap();
    assert_eq!(check.last().unwrap().outcome.kind, OutcomeKind::NotRun);
    assert_eq!(check.verdict, Verdict::Up { failures: 2 });
}

#[test]
fn history_keeps_the_last_runs_of_equal_outcomes() {
    let mut bench = ramping();
    let start = bench.now;
    let _ = bench.later(SECOND);
    let outcome = Outcome { kind: OutcomeKind::Passed, detail: "".into(), advice: None };
    let slower = Observation { probe: probe(1, 0), outcome: outcome.clone(), latency: SECOND };
    let _ = bench.engine.handle(bench.now, Input::Observation(slower));
    let history = bench.server(1).checks().next().unwrap().history;
    assert_eq!(history, [Run { outcome, times: 2, first: start, last: bench.now, latency: SECOND }]);
    for _ in 0..5 {
        let _ = (bench.fail(1), bench.pass(1));
    }
    let kinds: Vec<_> =
        bench.server(1).checks().next().unwrap().history.iter().map(|run| run.outcome.kind).collect();
    use OutcomeKind::{Passed, Refused};
    assert_eq!(kinds, [Refused, Passed, Refused, Passed]);
}

#[test]
fn a_first_admission_has_the_whole_weight_at_once() {
    let bench = ramping();
    assert_eq!(bench.weights(), [4, 4]);
    assert_eq!(bench.engine.deadline(), None);
}

#[test]
fn a_recovery_ramps_in_whole_weights_from_deadline_to_deadline() {
    let mut bench = ramping();
    let _ = (fail_three_times(&mut bench, 1), bench.pass(1), bench.pass(1));
    let start = bench.now;
    assert_eq!(bench.weights(), [1, 4]);
    let mut steps = Vec::new();
    while let Some(deadline) = bench.engine.deadline() {
        let effects = bench.later(deadline - bench.now);
        assert_eq!(names(&effects), ["web"]);
        steps.push(((deadline - start).as_nanos(), bench.weights()[0]));
    }
    assert_eq!(steps, [(1_000_000_001, 2), (2_000_000_001, 3), (3_000_000_001, 4)]);
}

#[test]
fn a_ramp_follows_the_operators_weight_and_stops_for_a_drain() {
    let mut bench = ramping();
    let _ = (fail_three_times(&mut bench, 1), bench.pass(1), bench.pass(1));
    let _ = bench.later(2 * SECOND);
    let _ = bench.weigh(1, 8);
    assert_eq!(bench.weights(), [4, 4]);
    assert_eq!(bench.engine.deadline(), Some(bench.now + Duration::from_nanos(1)));
    let _ = bench.drain(1);
    assert_eq!((bench.weights(), bench.engine.deadline()), (vec![0, 4], None));
}

#[test]
fn a_ramp_does_not_lessen_the_quorum() {
    let mut bench =
        Bench::new(only(VirtualServer { slow_start: 4 * SECOND, quorum: 4, ..web(&[check("c")], &[4, 4]) }));
    let _ = (bench.pass(1), bench.pass(2), fail_three_times(&mut bench, 1));
    let _ = (bench.pass(1), bench.pass(1));
    let lost = fail_three_times(&mut bench, 2);
    assert_eq!(told(&lost).len(), 1, "no quorum event: {lost:?}");
    assert_eq!((bench.quorum().sum, bench.weights()), (4, vec![1, 0]));
}

#[test]
fn quorum_and_sorry_server_change_outside_the_band_only() {
    let mut bench = Bench::new(only(VirtualServer {
        quorum: 3,
        hysteresis: 1,
        sorry_server: Some(sorry()),
        ..web(&[check("c")], &[1, 1, 1, 1])
    }));
    assert_eq!(bench.weights(), [0, 0, 0, 0, 1]);
    let told_by_passes: Vec<_> = (1..=4).map(|host| told(&bench.pass(host)).len()).collect();
    assert_eq!(told_by_passes, [1, 1, 1, 2], "gained with the fourth");
    assert_eq!(bench.weights(), [1, 1, 1, 1]);
    let quorum = bench.quorum();
    assert_eq!((quorum.sum, quorum.gained_at, quorum.lost_below), (4, 4, 2));

    for host in [1, 2] {
        assert_eq!(told(&fail_three_times(&mut bench, host)).len(), 1);
    }
    assert_eq!(bench.weights(), [0, 0, 1, 1]);
    let gained = bench.now;
    let _ = bench.later(SECOND);
    assert_eq!(bench.quorum().since, gained);
    let effects = fail_three_times(&mut bench, 3);
    assert_eq!(told(&effects)[1], "quorum lost at 1 for 3 ± 1, sorry server");
    assert_eq!(bench.quorum().since, bench.now);
    let destinations = bench.engine.desired("web").unwrap().destinations;
    let seen: Vec<_> = destinations.iter().map(|d| (d.weight, d.alive, d.role)).collect();
    use Role::{RealServer, SorryServer};
    assert_eq!(
        seen,
        [
            (0, false, RealServer),
            (0, false, RealServer),
            (0, false, RealServer),
            (0, true, RealServer),
            (1, true, SorryServer)
        ]
    );
    assert!(bench.engine.status().next().unwrap().sorry_server.unwrap().serving);
}

#[test]
fn a_lost_quorum_without_a_sorry_server_goes_on_with_what_it_has() {
    let mut bench = Bench::new(only(VirtualServer { quorum: 2, ..web(&[check("c")], &[1, 1]) }));
    let _ = (bench.pass(1), bench.pass(2));
    assert_eq!(told(&fail_three_times(&mut bench, 1))[1], "quorum lost at 1 for 2 ± 0");
    assert_eq!(bench.weights(), [0, 1]);
}

#[test]
fn what_awaits_a_first_outcome_is_not_decided() {
    let servers = VirtualServer { sorry_server: Some(sorry()), quorum: 2, ..web(&[check("c")], &[1, 1, 0]) };
    let mut bench = Bench::new(only(servers));
    let decided = |bench: &Bench| {
        let desired = bench.engine.desired("web").unwrap();
        desired.destinations.iter().map(|it| (it.weight, it.decided)).collect::<Vec<_>>()
    };
    assert_eq!(decided(&bench), [(0, false), (0, false), (0, true), (1, false)]);
    let _ = bench.pass(1);
    assert_eq!(decided(&bench), [(0, false), (0, false), (0, true), (1, false)], "the quorum depends on 2");
    let effects = bench.fail(2);
    assert_eq!(effects.changed.len(), 1);
    assert_eq!(decided(&bench), [(0, true), (0, true), (0, true), (1, true)]);
    let _ = fail_three_times(&mut bench, 1);
    for host in [1, 2] {
        let _ = (bench.pass(host), bench.pass(host));
    }
    assert_eq!(decided(&bench), [(1, true), (1, true), (0, true)]);
}

#[test]
fn commands_are_carried_out_and_told() {
    let mut bench = ramping();
    assert_eq!(told(&bench.weigh(1, 9)), ["10.0.0.1 weight 9 in place of 4"]);
    assert_eq!(bench.weights(), [9, 4]);
    assert_eq!(told(&bench.drain(1)), ["10.0.0.1 drained"]);
    assert_eq!(bench.weights(), [0, 4]);
    assert!(bench.engine.desired("web").unwrap().destinations[0].alive);
    assert_eq!(told(&bench.weigh(1, 7)), ["10.0.0.1 weight 7 in place of 9"]);
    assert_eq!(bench.weights(), [0, 4], "still drained");
    assert_eq!(told(&bench.enable(1)), ["10.0.0.1 enabled, weight 4 in place of 7"]);
    assert_eq!(bench.weights(), [4, 4]);
    assert_eq!(told(&bench.enable(1)), ["10.0.0.1 enabled"]);
}

#[test]
fn draining_the_last_server_loses_the_quorum() {
    let mut bench = ramping();
    let _ = bench.drain(1);
    assert_eq!(told(&bench.drain(2)), ["10.0.0.2 drained", "quorum lost at 0 for 1 ± 0"]);
}

#[test]
fn a_command_that_cannot_be_carried_out_says_why() {
    let mut bench = ramping();
    let weight = |name: &str, real_server, weight| Command::Weight {
        virtual_server: name.into(),
        real_server,
        weight,
    };
    for (command, error) in [
        (weight("mail", address(1), 1), "no virtual server is named \"mail\""),
        (weight("web", address(9), 1), "virtual server \"web\" has no real server 10.0.0.9:80"),
        (weight("web", address(1), 65_536), "weight 65536 is above 65535"),
    ] {
        assert_eq!(bench.engine.command(bench.now, command).unwrap_err().to_string(), error);
    }
    assert!(bench.engine.command(bench.now, weight("web", address(1), 65_535)).is_ok());
}

#[test]
fn one_probe_feeds_several_virtual_servers() {
    let pool = web(&[check("c")], &[1]);
    let other = VirtualServer { name: "other".into(), ..pool.clone() };
    let mut bench = Bench::new(Config { virtual_servers: vec![pool, other] });
    assert_eq!(names(&bench.pass(1)), ["other", "web"]);
}

#[test]
fn the_pool_is_in_ascending_order_of_address_whatever_the_configuration() {
    let mut pool = web(&[check("c")], &[1, 2, 3]);
    pool.real_servers.reverse();
    let mut bench = Bench::new(only(pool));
    let _ = bench.pass(2);
    let addresses: Vec<SocketAddr> =
        bench.engine.desired("web").unwrap().destinations.iter().map(|d| d.address).collect();
    assert_eq!(addresses, [address(1), address(2), address(3)]);
    assert_eq!(bench.weights(), [0, 2, 0]);
}

#[test]
fn time_does_not_go_backwards() {
    let mut bench = ramping();
    let _ = (fail_three_times(&mut bench, 1), bench.pass(1), bench.pass(1));
    let _ = bench.later(2 * SECOND);
    let effects = bench.engine.handle(bench.now - SECOND, Input::Tick);
    assert_eq!((effects, bench.weights()), (Effects::default(), vec![2, 4]));
}
