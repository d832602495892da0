//! What a reload keeps, by examples that read like rules.

use super::support::*;
use crate::*;

#[test]
fn an_operators_wishes_outlive_a_reload_while_the_server_stays() {
    let mut bench = ramping();
    let _ = (bench.drain(1), bench.weigh(2, 6));
    let _ = bench.reload(only(web(&[check("c")], &[5, 5, 5])));
    assert_eq!(bench.weights(), [0, 6, 0]);
    let _ = bench.reload(only(web(&[check("c")], &[5])));
    let _ = bench.reload(only(web(&[check("c")], &[5, 5])));
    assert_eq!((bench.server(2).operator_weight, bench.server(1).drained), (None, true));
}

#[test]
fn a_reload_keeps_health_and_counts_under_a_new_probe() {
    let mut bench = ramping();
    let _ = (bench.fail(1), bench.fail(1));
    let mut renewed = web(&[check("c")], &[4, 4]);
    renewed.real_servers[0].probes = [ProbeId(99)].into();
    assert_eq!(bench.reload(only(renewed)), Effects::default());
    assert_eq!(bench.fail(1), Effects::default(), "nobody waits for the old probe");
    assert_eq!(told(&bench.see(ProbeId(99), OutcomeKind::Refused)).len(), 1, "the third failure in a row");
}

#[test]
fn a_new_check_does_not_take_a_healthy_server_out() {
    let mut bench = ramping();
    let _ = fail_three_times(&mut bench, 2);
    let effects = bench.reload(only(web(&[check("new"), check("c")], &[4, 4])));
    assert_eq!(effects, Effects::default());
    let verdicts = |host| bench.server(host).checks().map(|check| check.verdict).collect::<Vec<_>>();
    assert_eq!(verdicts(1), [Verdict::Up { failures: 0 }, Verdict::Up { failures: 0 }]);
    assert_eq!(verdicts(2), [Verdict::Unknown, Verdict::Down { passes: 0 }]);
    assert_eq!(told(&fail_three_times(&mut bench, 1)).len(), 2, "down, and the quorum lost");
}

#[test]
fn removing_the_failing_check_makes_the_server_healthy() {
    let mut bench = Bench::new(only(web(&[check("a"), check("b")], &[4])));
    let _ = (bench.see(probe(1, 0), OutcomeKind::Passed), bench.see(probe(1, 1), OutcomeKind::Refused));
    let effects = bench.reload(only(VirtualServer { slow_start: SECOND, ..web(&[check("a")], &[4]) }));
    assert_eq!(told(&effects)[0], "10.0.0.1 up by \"\": no check is against it after a reload");
    assert_eq!(names(&effects), ["web"]);
    assert_eq!(bench.weights(), [1], "it recovers, so it ramps");
}

#[test]
fn an_unknown_server_is_admitted_when_its_check_becomes_initially_up() {
    let mut bench = Bench::new(only(web(&[check("c")], &[4])));
    let _ = bench.reload(only(web(&[Check { initially: Initially::Up, ..check("c") }], &[4])));
    assert_eq!(bench.weights(), [4]);
}

#[test]
fn a_reload_judges_the_quorum_anew() {
    let mut bench = ramping();
    let effects = bench.reload(only(VirtualServer { quorum: 9, ..web(&[check("c")], &[4, 4]) }));
    assert_eq!(told(&effects), ["quorum lost at 8 for 9 ± 0"]);
    assert_eq!(names(&effects), [""; 0], "no sorry server: nothing is different for the dataplane");
}

/// The two servers of [`ramping`] exchanged for the servers 3, 4, … of the given weights.
fn exchanged(checks: &[Check], weights: &[u32]) -> VirtualServer {
    let mut pool = web(checks, &[&[0, 0], weights].concat());
    pool.real_servers.drain(..2);
    VirtualServer { slow_start: 4 * SECOND, ..pool }
}

#[test]
fn a_reload_that_exchanges_the_pool_goes_on_serving() {
    let mut bench = ramping();
    let effects = bench.reload(only(exchanged(&[check("c")], &[4, 4, 0])));
    assert_eq!(
        told(&effects),
        [
            "10.0.0.3 up by \"\": not checked yet; in service because the reload left too few others",
            "10.0.0.4 up by \"\": not checked yet; in service because the reload left too few others"
        ]
    );
    assert_eq!((bench.weights(), bench.quorum().sum), (vec![4, 4, 0], 8));
    assert!(matches!(bench.server(3).health, Health::Unknown { assumed_up: true, .. }));

    assert_eq!(bench.reload(only(exchanged(&[check("c")], &[4, 4, 0]))), Effects::default());
    assert_eq!(told(&bench.fail(3)), ["10.0.0.3 down by \"c\": first outcome: connection refused"]);
    assert_eq!(told(&bench.pass(4)), ["10.0.0.4 up by \"c\": first outcome: passed"]);
    assert_eq!((bench.weights(), bench.engine.deadline()), (vec![0, 4, 0], None), "no ramp");
    assert_eq!(told(&fail_three_times(&mut bench, 4)).len(), 2, "known now: down, and the quorum lost");
}

#[test]
fn a_server_assumed_up_stays_so_until_a_check_fails_or_all_have_passed() {
    let mut bench = ramping();
    let admission = Check { only_admission: true, ..check("b") };
    let checks = [check("a"), admission];
    let _ = bench.reload(only(exchanged(&checks, &[4, 4])));
    let _ = (bench.pass(3), bench.see(probe(3, 1), OutcomeKind::NotRun));
    let reason = "not checked yet; in service because the reload left too few others";
    assert_eq!((bench.weights(), bench.reason(3)), (vec![4, 4], reason.to_owned()));
    let _ = bench.reload(only(exchanged(&[checks[0].clone(), checks[1].clone(), check("new")], &[4, 4])));
    let verdicts: Vec<_> = bench.server(3).checks().map(|check| check.verdict).collect();
    assert_eq!(verdicts, [Verdict::Up { failures: 0 }, Verdict::Unknown, Verdict::Unknown]);
    assert_eq!(bench.weights(), [4, 4]);
    let _ = (bench.see(probe(3, 1), OutcomeKind::Passed), bench.see(probe(3, 2), OutcomeKind::Passed));
    let failed = bench.see(probe(4, 1), OutcomeKind::Reset);
    assert_eq!(told(&failed), ["10.0.0.4 down by \"b\": first outcome: connection reset"]);
    assert_eq!(bench.reason(3), "new: first outcome: passed");
    assert_eq!(bench.weights(), [4, 0]);
}

#[test]
fn a_reload_loses_no_quorum_to_servers_that_are_not_checked_yet() {
    // Servers 1 and 2 are up, 3 and later are new; weights after a reload that keeps the first few.
    let pool = |quorum, weights: &[u32]| VirtualServer {
        quorum,
        hysteresis: 2,
        sorry_server: Some(sorry()),
        ..web(&[check("c")], weights)
    };
    for (quorum, weights, expected, why) in [
        (6, vec![4, 0, 4, 4], vec![4, 0, 0, 0], "4 is enough for 6 − 2"),
        (7, vec![4, 0, 4, 4], vec![4, 0, 4, 4], "4 is not enough for 7 − 2, 12 is"),
        (15, vec![4, 0, 4, 4], vec![0, 0, 0, 0, 1], "12 would not do for 15 − 2"),
    ] {
        let mut bench = Bench::new(only(pool(6, &[4, 4])));
        let _ = (bench.pass(1), bench.pass(2));
        let _ = bench.reload(only(pool(quorum, &weights)));
        assert_eq!(bench.weights(), expected, "{why}");
    }
}

#[test]
fn a_pool_that_serves_without_a_quorum_goes_on_serving() {
    let mut bench = ramping();
    let _ = fail_three_times(&mut bench, 1);
    let _ = bench.reload(only(VirtualServer { quorum: 6, ..web(&[check("c")], &[4, 4]) }));
    assert!(!bench.quorum().held);
    let _ = bench.reload(only(VirtualServer { quorum: 6, ..exchanged(&[check("c")], &[5]) }));
    assert_eq!((bench.weights(), bench.quorum().held), (vec![5], false));
}

#[test]
fn only_a_reload_of_a_serving_pool_assumes_and_only_where_nothing_is_known() {
    let mut bench = Bench::new(only(web(&[check("c")], &[4, 4])));
    let _ = bench.reload(only(exchanged(&[check("c")], &[4])));
    assert_eq!(bench.weights(), [0], "nothing served before");

    let mut bench = ramping();
    let _ = fail_three_times(&mut bench, 2);
    let mut pool = web(&[check("c")], &[4, 4]);
    pool.real_servers.remove(0);
    let _ = bench.reload(only(pool));
    assert_eq!(bench.weights(), [0], "known to be down");

    let mut bench = ramping();
    let _ = bench.reload(only(web(&[check("c")], &[4, 4, 4, 4])));
    let _ = (bench.drain(3), bench.reload(only(exchanged(&[check("c")], &[4, 4]))));
    let _ = bench.enable(3);
    assert_eq!(bench.weights(), [0, 4], "a drained server was not needed, and is checked first");

    let mut bench = ramping();
    let _ = bench.reload(only(VirtualServer { name: "renamed".into(), ..exchanged(&[check("c")], &[4]) }));
    assert_eq!(bench.engine.desired("renamed").unwrap().destinations[0].weight, 0, "another virtual server");
}

#[test]
fn virtual_servers_that_come_and_go_have_changed() {
    let mut bench = ramping();
    let mail = VirtualServer { name: "mail".into(), ..web(&[], &[1]) };
    let both = Config { virtual_servers: vec![web(&[check("c")], &[4, 4]), mail.clone()] };
    assert_eq!(names(&bench.reload(both)), ["mail"]);
    assert_eq!(names(&bench.reload(only(mail))), ["web"]);
    assert_eq!(bench.engine.desired("web"), None);
}

#[test]
fn a_ramp_that_is_over_stays_over_when_slow_start_grows() {
    let mut bench = ramping();
    let _ = (fail_three_times(&mut bench, 1), bench.pass(1), bench.pass(1));
    let _ = bench.later(4 * SECOND);
    let longer = only(VirtualServer { slow_start: 100 * SECOND, ..web(&[check("c")], &[4, 4]) });
    assert_eq!(bench.reload(longer), Effects::default());
    assert_eq!((bench.weights(), bench.engine.deadline()), (vec![4, 4], None));
}
