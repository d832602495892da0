//! The simulator: what it must get right for its results to mean anything.

use super::scenario::FaultKind;
use super::*;

/// Servers of a twentieth of the size: the same ratios with a twentieth of the work.
fn small(name: &str) -> Scenario {
    Scenario::find(name).unwrap().scaled(0.05)
}

fn mistake(text: &str) -> String {
    format!("{:#}", Scenario::parse(text).unwrap_err())
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let seconds = |seed| run(&small("S14"), Policy::Keepalived, seed).seconds;
    assert_eq!(seconds(1), seconds(1));
    assert_ne!(seconds(1), seconds(2));
}

#[test]
fn a_pool_at_ease_serves_everybody_under_every_policy() {
    let mut scenario = small("S1b");
    scenario.load.truncate(1);
    for policy in <Policy as clap::ValueEnum>::value_variants() {
        let score = run(&scenario, *policy, 3);
        let unserved: u64 = score.seconds.iter().map(|it| it.new - it.good.min(it.new)).sum();
        assert!(score.goodput() > 0.99, "{policy:?}: {}, {unserved}", score.goodput());
        assert_eq!((score.wrong_ejections, score.flows_killed, score.to_dead), (0, 0, 0), "{policy:?}");
        assert_eq!(score.recovery(), Some(0.0), "{policy:?}");
    }
}

/// The failure that this project exists to end.
#[test]
fn directors_that_eject_the_slow_lose_the_pool_and_the_right_cap_keeps_it() {
    let goodput = |policy| run(&Scenario::find("eight").unwrap(), policy, 5).goodput();
    for policy in [Policy::Keepalived, Policy::Ldirectord, Policy::Haproxy, Policy::AlwaysOn] {
        assert!(goodput(policy) < 0.7, "{policy:?}");
    }
    assert!(goodput(Policy::HaproxyMaxconn) > 1.0);
}

#[test]
fn the_protected_pool_serves_on_and_ejects_nobody() {
    for (name, least) in
        [("S1", 0.9), ("S4", 0.98), ("S6", 0.98), ("S9", 0.98), ("S12", 0.9), ("S13", 0.98), ("eight", 0.9)]
    {
        let scenario = Scenario::find(name).unwrap().scaled(0.1);
        let protected = summarise(&scenario, Policy::Tidegate, 1..4);
        assert!(protected.median() > least, "{name}: {:?}", protected.goodput);
        assert_eq!(
            (protected.wrong_ejections, protected.flows_killed, protected.to_known_dead),
            (0, 0, 0),
            "{name}"
        );
    }
}

/// Nothing may be sent to a server that is known to be dead, and a dead one is found sooner than by its checks alone.
#[test]
fn the_dead_get_less_than_their_checks_alone_would_give_them() {
    let dead = |policy| summarise(&Scenario::find("S7").unwrap().scaled(0.1), policy, 1..3);
    let (protected, plain) = (dead(Policy::Tidegate), dead(Policy::TidegateOff));
    assert_eq!((protected.to_known_dead, plain.to_known_dead), (0, 0));
    assert!(protected.to_dead < plain.to_dead, "{} {}", protected.to_dead, plain.to_dead);
    assert!(protected.median() > plain.median());
}

#[test]
fn what_a_dead_server_gets_is_told_apart_by_whether_its_checks_have_told() {
    let mut scenario = small("S2");
    scenario.load[0].rho = 0.6;
    let never = run(&scenario, Policy::AlwaysOn, 1);
    assert!(never.to_known_dead > 0 && never.to_dead > never.to_known_dead);
    let checked = run(&scenario, Policy::Haproxy, 1);
    assert!(checked.to_dead > 0);
    assert_eq!((checked.to_known_dead, checked.wrong_ejections, checked.flows_killed), (0, 0, 0));
    scenario.fault[0].kind = FaultKind::Blip;
    let lost = run(&scenario, Policy::Keepalived, 1);
    assert_eq!((lost.to_dead, lost.wrong_ejections), (0, 1));
    assert!(lost.flows_killed > 0);
}

#[test]
fn every_scenario_that_is_built_in_is_right_drawn_or_not() {
    for name in names() {
        let scenario = Scenario::find(name).unwrap();
        for seed in 0..20 {
            let drawn = scenario.drawn(&mut fastrand::Rng::with_seed(seed));
            drawn.validate().unwrap();
            assert_ne!(drawn.servers, scenario.servers);
        }
    }
    assert!(Scenario::find("S99").unwrap_err().to_string().contains("S1-long-backlog"));
}

#[test]
fn the_example_is_a_scenario() {
    let scenario = Scenario::find("examples/simulate/peak.toml").unwrap();
    assert_eq!((scenario.servers.count, scenario.fault.len()), (12, 1));
}

#[test]
fn mistakes_in_a_scenario_are_told_with_their_place() {
    let head = "title = 'x'\nwarm_up = '1s'\nduration = '10s'\n";
    let load = "load = [{ at = '0s', rho = 0.5 }]\n";
    for (text, said) in [
        (format!("{head}{load}serves = 1\n"), "line 5, column 1"),
        (format!("{head}{load}[servers]\nknees = 5\n"), "unknown field `knees`"),
        (format!("{head}load = [{{ at = '0', rho = 1 }}]"), "a number and its unit"),
        (format!("{head}load = []"), "a [[load]] is needed"),
        (format!("{head}load = [{{ at = '0s', rho = 1, rate = 2 }}]"), "either `rho` or `rate`"),
        (format!("{head}load = [{{ at = '0s', rate = 1e9 }}]"), "requests are more than"),
        (format!("{head}{load}servers = {{ knee = nan }}"), "numbers must be"),
        (format!("{head}{load}servers = {{ knee = 2000 }}"), "not above `slots`"),
        (format!("{head}{load}fault = [{{ kind = 'leak', at = '1s' }}]"), "`factor` belongs to"),
        (format!("{head}{load}clients = {{ delay = '0s' }}"), "a delay of 0.1 s"),
    ] {
        let told = mistake(&text);
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn charts_and_plots_show_the_whole_run() {
    let scenario = small("S1b");
    let score = run(&scenario, Policy::HaproxyMaxconn, 1);
    let chart = chart(&score);
    assert!(chart.contains('█') && chart.contains(" 300 s"), "{chart}");
    let plot = plot("a < b & c", &score);
    assert!(plot.starts_with("<svg") && plot.ends_with("</svg>\n") && plot.contains("a &lt; b &amp; c"));
    assert_eq!(plot.matches("<polyline").count(), 4);
    assert!(!plot.contains("NaN"));
}

#[test]
fn a_configuration_gives_the_pool_its_size_and_its_check() {
    let model = crate::config::load(std::path::Path::new("examples/web.toml")).unwrap();
    let server = &model.virtual_servers[0];
    let mut scenario = Scenario::find("S1").unwrap();
    scenario.configure(server).unwrap();
    assert_eq!(scenario.servers.count, server.real_servers.iter().filter(|it| it.weight > 0).count());
    assert_eq!(scenario.check.interval, server.checks[0].interval.as_secs_f64());
}
