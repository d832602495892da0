//! Weights that checks ask for.

use super::support::*;
use crate::*;

/// What a check of server 1 says with a pass.
fn advise(bench: &mut Bench, check: u8, advice: Option<Advice>) -> Effects {
    let outcome = Outcome { kind: OutcomeKind::Passed, detail: "".into(), advice };
    let seen = Observation { probe: probe(1, check), outcome, latency: SECOND };
    bench.engine.handle(bench.now, Input::Observation(seen))
}

fn pool() -> Bench {
    let mut bench = Bench::new(only(VirtualServer {
        sorry_server: Some(sorry()),
        quorum: 5,
        ..web(&[check("a"), check("b")], &[10])
    }));
    let _ = (advise(&mut bench, 0, None), advise(&mut bench, 1, None));
    assert_eq!(bench.weights(), [10]);
    bench
}

#[test]
fn it_is_followed_and_told_until_the_next_pass() {
    let mut bench = pool();
    let effects = advise(&mut bench, 0, Some(Advice::Percent(70)));
    assert_eq!(told(&effects), ["10.0.0.1 weight 7 in place of 10 by \"a\""]);
    assert_eq!(names(&effects), ["web"]);
    assert_eq!((bench.weights(), bench.server(1).advised_weight), (vec![7], Some(7)));
    let _ = bench.fail(1);
    assert_eq!(bench.weights(), [7], "a failure asks for nothing");
    assert_eq!(
        told(&advise(&mut bench, 1, Some(Advice::Weight(12)))),
        ["10.0.0.1 weight 9 in place of 7 by \"b\""]
    );
    let _ = advise(&mut bench, 0, None);
    assert_eq!(bench.weights(), [12]);
}

#[test]
fn the_quorum_follows_too() {
    let mut bench = pool();
    let effects = advise(&mut bench, 0, Some(Advice::Weight(4)));
    assert_eq!(
        told(&effects),
        ["10.0.0.1 weight 4 in place of 10 by \"a\"", "quorum lost at 4 for 5 ± 0, sorry server"]
    );
    assert_eq!(bench.weights(), [0, 1]);
    let _ = advise(&mut bench, 0, None);
    assert_eq!(bench.weights(), [10]);
}

#[test]
fn an_operators_weight_stands_above_it() {
    let mut bench = pool();
    let _ = bench.weigh(1, 20);
    assert_eq!(told(&advise(&mut bench, 0, Some(Advice::Weight(0)))), Vec::<String>::new());
    assert_eq!(bench.weights(), [20]);
    let _ = bench.enable(1);
    assert_eq!(bench.weights(), [0, 1], "the only server is asked to get nothing");
}

#[test]
fn a_reload_keeps_it_for_the_checks_that_stay() {
    let mut bench = pool();
    let _ = advise(&mut bench, 0, Some(Advice::Percent(50)));
    let _ = advise(&mut bench, 1, Some(Advice::Percent(150)));
    let _ = bench.reload(only(web(&[check("a")], &[20])));
    assert_eq!(bench.weights(), [10]);
    let _ = bench.reload(only(web(&[check("c")], &[20])));
    assert_eq!(bench.weights(), [20]);
}
