//! Properties over random histories of outcomes, commands, time and reloads.
//!
//! `PROPTEST_CASES=10000 cargo test -p tidegate-engine properties` looks longer than the default.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;

use super::model::{Model, State};
use super::support::*;
use crate::*;

#[derive(Debug, Clone)]
enum Step {
    Observe {
        probe: ProbeId,
        kind: OutcomeKind,
        times: u32,
    },
    Command(Command),
    Tick,
    TickAtDeadline,
    Reload(Config),
    ReloadSame,
    /// Other weights by name and address, the rest as it is.
    ReloadWeights(Vec<u32>),
}

/// A step and the time since the one before.
type Timed = (Duration, Step);

fn duration() -> impl Strategy<Value = Duration> {
    select(vec![0, 1, 7, 1_000_000, 300_000_000, 1_000_000_000, 5_000_000_000]).prop_map(Duration::from_nanos)
}

fn check_of(key: &'static str) -> impl Strategy<Value = Check> {
    let initially = select(vec![Initially::Down, Initially::Down, Initially::Up]);
    (1_u32..4, 1_u32..4, initially, prop::bool::weighted(0.2)).prop_map(
        move |(rise, fall, initially, only_admission)| Check {
            key: key.into(),
            rise,
            fall,
            initially,
            only_admission,
        },
    )
}

fn real_server(host: u8) -> impl Strategy<Value = RealServer> {
    let probes = prop::collection::vec((0_u64..8).prop_map(ProbeId), 3);
    let new = move |(weight, probes): (u32, Vec<ProbeId>)| RealServer {
        address: address(host),
        weight,
        max_connections: 0,
        probes: probes.into(),
    };
    (0_u32..8, probes).prop_map(new)
}

fn virtual_server(name: &'static str) -> impl Strategy<Value = VirtualServer> {
    let maybe = |key| prop::option::weighted(0.6, check_of(key));
    let member = |host| prop::option::weighted(0.8, real_server(host));
    (
        (0_u32..14, 0_u32..5, prop::option::of(Just(sorry()))),
        duration(),
        [maybe("a"), maybe("b"), maybe("c")],
        // Not in ascending order: the engine puts them there.
        [member(3), member(1), member(4), member(2)],
    )
        .prop_map(move |((quorum, hysteresis, sorry_server), slow_start, checks, pool)| {
            let checks: Vec<_> = checks.into_iter().flatten().collect();
            let mut real_servers: Vec<_> = pool.into_iter().flatten().collect();
            for server in &mut real_servers {
                server.probes = server.probes[..checks.len()].into();
            }
            let name = name.into();
            let overload = Mode::Off;
            VirtualServer {
                name,
                quorum,
                hysteresis,
                sorry_server,
                slow_start,
                overload,
                any_server: true,
                checks,
                real_servers,
            }
        })
}

fn config() -> impl Strategy<Value = Config> {
    let maybe = |name| prop::option::weighted(0.8, virtual_server(name));
    [maybe("web"), maybe("dns"), maybe("mail")]
        .prop_map(|servers| Config { virtual_servers: servers.into_iter().flatten().collect() })
}

fn command() -> impl Strategy<Value = Command> {
    let weight = prop_oneof![9 => 0_u32..10, 1 => Just(WEIGHT_MAX + 1)];
    (select(vec!["web", "dns", "mail"]), 1_u8..5, 0..3, weight).prop_map(|(name, host, kind, weight)| {
        let (virtual_server, real_server) = (Arc::from(name), address(host));
        match kind {
            0 => Command::Drain { virtual_server, real_server },
            1 => Command::Enable { virtual_server, real_server },
            _ => Command::Weight { virtual_server, real_server, weight },
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    use OutcomeKind::{NotRun, Passed, Refused, WrongAnswer};
    let kind = select(vec![Passed, Passed, Passed, Refused, Refused, WrongAnswer, NotRun]);
    prop_oneof![
        // Probe 8 and above have no subscribers.
        20 => (0_u64..10, kind, 1_u32..4)
            .prop_map(|(probe, kind, times)| Step::Observe { probe: ProbeId(probe), kind, times }),
        4 => command().prop_map(Step::Command),
        2 => Just(Step::Tick),
        6 => Just(Step::TickAtDeadline),
        2 => config().prop_map(Step::Reload),
        1 => Just(Step::ReloadSame),
        1 => prop::collection::vec(0_u32..8, 12).prop_map(Step::ReloadWeights),
    ]
}

fn history() -> impl Strategy<Value = (Config, Vec<Timed>)> {
    (config(), prop::collection::vec((duration(), step()), 1..60))
}

/// An engine, the configuration that it has and the time.
struct Run {
    engine: Engine,
    config: Config,
    now: Instant,
    /// Reloads only what is configured otherwise.
    in_part: bool,
}

impl Run {
    fn new(now: Instant, config: &Config) -> Run {
        let mut engine = Engine::new();
        let effects = engine.reload(now, config.clone());
        assert_eq!(effects.events, []);
        Run { engine, config: config.clone(), now, in_part: false }
    }

    /// Takes one step and hands each of the effects to `seen`.
    fn step(&mut self, (after, step): &Timed, mut seen: impl FnMut(&Run, Effects)) {
        self.now = match step {
            Step::TickAtDeadline => self.engine.deadline().unwrap_or(self.now),
            _ => self.now + *after,
        };
        let before = self.config.clone();
        match step {
            Step::Observe { probe, kind, times } => {
                for _ in 0..*times {
                    let effects = self.engine.handle(self.now, observation(*probe, *kind));
                    seen(self, effects);
                }
                return;
            }
            Step::ReloadSame => {}
            Step::Reload(config) => self.config = config.clone(),
            Step::ReloadWeights(weights) => {
                let servers =
                    self.config.virtual_servers.iter_mut().flat_map(|server| &mut server.real_servers);
                servers.zip(weights).for_each(|(server, weight)| server.weight = *weight);
            }
            Step::Command(_) | Step::Tick | Step::TickAtDeadline => {}
        }
        let effects = match step {
            Step::Command(command) => {
                let done = self.engine.command(self.now, command.clone());
                done.unwrap_or_else(|_| self.engine.handle(self.now, Input::Tick))
            }
            Step::Tick | Step::TickAtDeadline => self.engine.handle(self.now, Input::Tick),
            _ if self.in_part => self.reload_part(&before),
            _ => self.engine.reload(self.now, self.config.clone()),
        };
        seen(self, effects);
    }

    fn reload_part(&mut self, before: &Config) -> Effects {
        let servers = self.config.virtual_servers.iter().cloned();
        let (same, others): (Vec<_>, _) = servers.partition(|it| before.virtual_servers.contains(it));
        let kept = same.into_iter().map(|server| server.name).collect();
        self.engine.reload_part(self.now, Config { virtual_servers: others }, &kept)
    }

    /// Everything that the dataplane should hold.
    fn desired(&self) -> BTreeMap<Arc<str>, Desired> {
        let names = self.engine.status().map(|server| server.name.clone());
        names.map(|name| (name.clone(), self.engine.desired(&name).unwrap())).collect()
    }

    fn health(&self) -> BTreeMap<(Arc<str>, SocketAddr), State> {
        let servers = self.engine.status().flat_map(|server| {
            server.real_servers().map(|real| ((server.name.clone(), real.address), state(real.health)))
        });
        servers.collect()
    }

    fn held(&self) -> BTreeMap<Arc<str>, bool> {
        self.engine.status().map(|server| (server.name.clone(), server.quorum.held)).collect()
    }

    /// The virtual servers whose pool gets traffic.
    fn serving(&self) -> BTreeSet<Arc<str>> {
        let serves = |server: &VirtualServerStatus<'_>| server.real_servers().any(|real| real.weight > 0);
        self.engine.status().filter(serves).map(|server| server.name.clone()).collect()
    }

    /// All that is known about the real servers but their weights.
    fn knowledge(&self) -> BTreeMap<(Arc<str>, SocketAddr), String> {
        let tell = |real: RealServerStatus<'_>| {
            let checks: Vec<_> = real.checks().collect();
            let (state, since) = (state(real.health), real.health.since());
            format!("{state:?} {since:?} {} {checks:?}", real.reason)
        };
        let servers = self.engine.status().flat_map(|server| {
            server.real_servers().map(move |real| ((server.name.clone(), real.address), tell(real)))
        });
        servers.collect()
    }
}

fn state(health: Health) -> State {
    match health {
        Health::Unknown { assumed_up: false, .. } => State::Unknown,
        Health::Unknown { assumed_up: true, .. } => State::Assumed,
        Health::Up { .. } => State::Up,
        Health::Down { .. } => State::Down,
    }
}

/// What the unknown servers that get no traffic would add to W.
fn unchecked(server: &VirtualServerStatus<'_>) -> u64 {
    let unknown = server.real_servers().filter(|real| state(real.health) == State::Unknown && !real.drained);
    unknown.map(|real| u64::from(real.operator_weight.unwrap_or(real.configured_weight))).sum()
}

/// The entries of `after` that were in `before` with another value.
fn moved<K: Ord + Clone, V: PartialEq + Copy>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) -> Vec<(K, V)> {
    let other = |(key, value): &(&K, &V)| before.get(*key).is_some_and(|old| old != *value);
    after.iter().filter(other).map(|(key, value)| (key.clone(), *value)).collect()
}

proptest! {
    #[test]
    fn the_engine_decides_as_the_naive_fold_does((config, steps) in history()) {
        let mut run = Run::new(epoch(), &config);
        let mut model = Model::default();
        model.reload(run.now, &config);
        for timed in &steps {
            run.step(timed, |run, _| {
                match &timed.1 {
                    Step::Observe { probe, kind, .. } => model.observe(run.now, *probe, *kind),
                    Step::Command(Command::Weight { weight, .. }) if *weight > WEIGHT_MAX => {}
                    Step::Command(command) => drop(model.obey(run.now, command)),
                    Step::Tick | Step::TickAtDeadline => {}
                    _ => model.reload(run.now, &run.config),
                }
                let expected: BTreeMap<_, _> =
                    model.pools.iter().map(|(name, pool)| (name.clone(), pool.desired(run.now))).collect();
                assert_eq!(run.desired(), expected);
                for server in run.engine.status() {
                    let pool = &model.pools[server.name];
                    assert_eq!((server.quorum.held, server.quorum.sum), (pool.held, pool.sum()));
                    for (real, member) in server.real_servers().zip(pool.servers.values()) {
                        assert_eq!(state(real.health), member.state);
                        assert!(real.weight <= member.target());
                    }
                }
                let weights = |at| model.pools.values().map(|pool| pool.weights(at)).collect::<Vec<_>>();
                if let Some(deadline) = run.engine.deadline() {
                    assert!(deadline > run.now);
                    assert_eq!(weights(deadline - Duration::from_nanos(1)), weights(run.now));
                    assert_ne!(weights(deadline), weights(run.now));
                } else {
                    assert_eq!(weights(run.now + Duration::from_secs(60)), weights(run.now));
                }
            });
        }
    }

    #[test]
    fn effects_are_the_difference_between_before_and_after((config, steps) in history()) {
        let mut run = Run::new(epoch(), &config);
        let (mut desired, mut health, mut held) = (run.desired(), run.health(), run.held());
        for timed in &steps {
            run.step(timed, |run, effects| {
                let before = std::mem::replace(&mut desired, run.desired());
                let all: BTreeSet<_> = before.keys().chain(desired.keys()).cloned().collect();
                let differs = |name: &Arc<str>| before.get(name) != desired.get(name);
                let changed: Vec<_> = all.into_iter().filter(differs).collect();
                assert_eq!(effects.changed, changed);

                let mut before = std::mem::replace(&mut health, run.health());
                // A new server is told of when it is assumed up.
                for (server, _) in health.iter().filter(|(_, state)| **state == State::Assumed) {
                    before.entry(server.clone()).or_insert(State::Unknown);
                }
                let mut servers = Vec::new();
                let mut quorums = Vec::new();
                for event in effects.events {
                    match event {
                        Event::Health { virtual_server, real_server, healthy, .. } => {
                            let server = (virtual_server, real_server);
                            let state = health[&server];
                            assert_eq!(healthy, state != State::Down);
                            servers.push((server, state));
                        }
                        Event::Quorum { virtual_server, held, sum, quorum, hysteresis, .. } => {
                            let (quorum, hysteresis) = (u64::from(quorum), u64::from(hysteresis));
                            if held {
                                assert!(sum > 0 && sum >= quorum + hysteresis);
                            } else {
                                assert!(sum == 0 || sum + hysteresis < quorum);
                            }
                            quorums.push((virtual_server, held));
                        }
                        Event::Weight { .. } => panic!("no check here asks for a weight"),
                        Event::Operator { .. } => assert!(matches!(timed.1, Step::Command(_))),
                        Event::Overload { .. } => panic!("it is off"),
                    }
                }
                servers.sort_by(|a, b| a.0.cmp(&b.0));
                assert_eq!(servers, moved(&before, &health));
                let before = std::mem::replace(&mut held, run.held());
                assert_eq!(quorums, moved(&before, &held));
            });
        }
    }

    #[test]
    fn timers_are_what_a_look_at_every_server_gives((config, steps) in history()) {
        let mut run = Run::new(epoch(), &config);
        for timed in &steps {
            run.step(timed, |run, _| assert!(run.engine.timers_agree()));
        }
    }

    #[test]
    fn a_reload_loses_no_quorum_merely_because_servers_are_not_checked_yet((config, steps) in history()) {
        let mut run = Run::new(epoch(), &config);
        let (mut held, mut serving) = (run.held(), run.serving());
        for timed in &steps {
            run.step(timed, |run, _| {
                let was_held = std::mem::replace(&mut held, run.held());
                let served = std::mem::replace(&mut serving, run.serving());
                if !matches!(timed.1, Step::Reload(_) | Step::ReloadSame | Step::ReloadWeights(_)) {
                    return;
                }
                for server in run.engine.status() {
                    let possible = server.quorum.sum + unchecked(&server);
                    if was_held.get(server.name) == Some(&true) && possible >= server.quorum.lost_below {
                        assert!(server.quorum.held);
                    }
                    if served.contains(server.name) && server.sorry_server.is_none() && possible > 0 {
                        assert!(serving.contains(server.name));
                    }
                }
            });
        }
    }

    #[test]
    fn reloading_the_same_changes_nothing_and_other_weights_only_weights(
        (config, steps) in history(), weights in prop::collection::vec(0_u32..8, 12),
    ) {
        let mut run = Run::new(epoch(), &config);
        steps.iter().for_each(|timed| run.step(timed, |_, _| {}));
        let mut before = (run.desired(), run.knowledge(), run.held(), run.engine.deadline());
        run.step(&(Duration::ZERO, Step::ReloadSame), |_, effects| assert_eq!(effects, Effects::default()));
        prop_assert_eq!(&before, &(run.desired(), run.knowledge(), run.held(), run.engine.deadline()));

        // Other weights may need servers that are not checked yet; nothing else becomes of them.
        let mut assumed = BTreeSet::new();
        run.step(&(Duration::ZERO, Step::ReloadWeights(weights)), |_, effects| {
            for event in effects.events {
                match event {
                    Event::Health { virtual_server, real_server, .. } => {
                        assumed.insert((virtual_server, real_server));
                    }
                    other => assert!(matches!(other, Event::Quorum { .. })),
                }
            }
        });
        let (mut after, health) = (run.knowledge(), run.health());
        for server in &assumed {
            prop_assert_eq!(health[server], State::Assumed);
            prop_assert!(before.1.remove(server) != after.remove(server));
        }
        prop_assert_eq!(before.1, after);
        if before.2 == run.held() {
            let shape = |desired: BTreeMap<Arc<str>, Desired>| {
                let all = desired.into_values().flat_map(|desired| desired.destinations);
                all.map(|it| Destination { weight: 0, decided: true, ..it }).collect::<Vec<_>>()
            };
            prop_assert_eq!(shape(before.0), shape(run.desired()));
        }
    }

    #[test]
    fn what_nobody_waits_for_or_could_not_be_run_decides_nothing(
        (config, steps) in history(), probe in 0_u64..20,
    ) {
        let mut run = Run::new(epoch(), &config);
        steps.iter().for_each(|timed| run.step(timed, |_, _| {}));
        let kind = if probe < 8 { OutcomeKind::NotRun } else { OutcomeKind::Refused };
        let before = (run.desired(), run.health(), run.engine.deadline());
        let observe = Step::Observe { probe: ProbeId(probe), kind, times: 3 };
        run.step(&(Duration::ZERO, observe), |_, effects| assert_eq!(effects, Effects::default()));
        prop_assert_eq!(before, (run.desired(), run.health(), run.engine.deadline()));
    }

    #[test]
    fn shifting_all_times_shifts_all_outputs((config, steps) in history(), shift in 0_u64..1_000_000_000_000) {
        let play = |start| {
            let mut run = Run::new(start, &config);
            let mut outputs = Vec::new();
            for timed in &steps {
                run.step(timed, |run, effects| {
                    let deadline = run.engine.deadline().map(|deadline| deadline - start);
                    let since: Vec<_> = run.engine.status().map(|server| server.quorum.since - start).collect();
                    outputs.push((effects, run.desired(), deadline, since));
                });
            }
            outputs
        };
        let start = epoch();
        prop_assert_eq!(play(start), play(start + Duration::from_nanos(shift)));
    }

    #[test]
    fn what_is_kept_is_as_if_it_were_reloaded((config, steps) in history()) {
        let start = epoch();
        let play = |in_part| {
            let mut run = Run { in_part, ..Run::new(start, &config) };
            let mut outputs = Vec::new();
            for timed in &steps {
                run.step(timed, |run, effects| {
                    assert!(run.engine.timers_agree());
                    outputs.push((effects, run.desired(), run.knowledge(), run.engine.deadline()));
                });
            }
            outputs
        };
        prop_assert_eq!(play(true), play(false));
    }
}
