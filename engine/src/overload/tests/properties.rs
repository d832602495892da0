//! The invariants over random histories, and that observing changes nothing.
//!
//! `PROPTEST_CASES=10000 cargo test -p tidegate-engine overload` looks longer than the default.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;

use crate::overload::CRASHED;
use crate::tests::support::{address, check, epoch, observation, only, probe, web};
use crate::*;

const SERVERS: u8 = 6;
const PROGRESS: Duration = Duration::from_millis(2_500);

#[derive(Debug, Clone)]
enum Step {
    /// What happened at each server until this sample: connections that came, were taken, failed and ended.
    Sample {
        after: u64,
        deeds: Vec<Deed>,
        turned_away: u64,
    },
    Check {
        after: u64,
        host: u8,
        kind: OutcomeKind,
        latency: u64,
    },
    Tick {
        after: u64,
    },
    Reload {
        most: u32,
    },
}

#[derive(Debug, Clone, Copy)]
struct Deed {
    come: u64,
    answers: bool,
    failed: u64,
    end: u64,
}

fn deed() -> impl Strategy<Value = Deed> {
    (select(vec![0_u64, 0, 3, 40, 400]), any::<bool>(), 0_u64..5, 0_u64..500)
        .prop_map(|(come, answers, failed, end)| Deed { come, answers, failed: failed.min(come), end })
}

fn step() -> impl Strategy<Value = Step> {
    use OutcomeKind::*;
    let kinds =
        select(vec![Passed, Passed, Refused, AnswerTimeout, ConnectTimeout, WrongAnswer, Unreachable]);
    let after = || select(vec![100_u64, 500, 500, 900, 2_000, 6_000, 20_000]);
    prop_oneof![
        10 => (after(), prop::collection::vec(deed(), usize::from(SERVERS)), select(vec![0_u64, 0, 50]))
            .prop_map(|(after, deeds, turned_away)| Step::Sample { after, deeds, turned_away }),
        10 => (select(vec![0_u64, 100, 500]), 1..=SERVERS, kinds, select(vec![1_u64, 5, 400, 2_000]))
            .prop_map(|(after, host, kind, latency)| Step::Check { after, host, kind, latency }),
        1 => after().prop_map(|after| Step::Tick { after }),
        1 => select(vec![0_u32, 7, 300]).prop_map(|most| Step::Reload { most }),
    ]
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..80)
}

/// An engine, and what a simple observer knows of its servers.
struct Run {
    engine: Engine,
    now: Instant,
    mode: Mode,
    most: u32,
    loads: Vec<Load>,
    turned_away: u64,
    /// When each server was last heard of, and connections given to it since.
    heard: Vec<(Instant, u64)>,
    /// Whether each server refused a check although clients heard of it, and for how many seconds nobody has got through
    /// since; none before a sample has come that began after it.
    refused: Vec<Option<Option<f64>>>,
    sampled: Option<Instant>,
    /// When the director last went on after a gap.
    resumed: Instant,
}

impl Run {
    fn new(mode: Mode, now: Instant) -> Run {
        let load = |host| Load {
            address: address(host),
            active: 0,
            begun: 0,
            failed: 0,
            established: Some(0),
            bytes_out: Some(0),
        };
        let mut run = Run {
            engine: Engine::new(),
            now,
            mode,
            most: 0,
            loads: (1..=SERVERS).map(load).collect(),
            turned_away: 0,
            heard: vec![(now, 0); SERVERS.into()],
            refused: vec![None; SERVERS.into()],
            sampled: None,
            resumed: now,
        };
        let _first = run.reload();
        for host in 1..=SERVERS {
            let _first = run.engine.handle(now, observation(probe(host, 0), OutcomeKind::Passed));
        }
        run
    }

    fn reload(&mut self) -> Effects {
        let weights = [10; SERVERS as usize];
        let mut config = VirtualServer { overload: self.mode, ..web(&[check("c")], &weights) };
        config.real_servers.iter_mut().for_each(|it| it.max_connections = self.most);
        self.engine.reload(self.now, only(config))
    }

    fn step(&mut self, step: &Step) -> Effects {
        match step {
            Step::Sample { after, deeds, turned_away } => {
                self.now += Duration::from_millis(*after);
                self.count(deeds);
                self.turned_away += turned_away;
                let (turned_away, real_servers) = (self.turned_away, self.loads.clone());
                let traffic = Traffic { virtual_server: "web".into(), turned_away, real_servers };
                let was_out: Vec<_> = (1..=SERVERS).map(|host| self.weight(host) == 0).collect();
                let effects = self.engine.handle(self.now, Input::Traffic(traffic));
                // Clients cannot have heard of a server that they were not led to.
                for (host, _) in (1..=SERVERS).zip(was_out).filter(|(_, was_out)| *was_out) {
                    if self.weight(host) > 0 {
                        self.heard[usize::from(host) - 1] = (self.now, 0);
                        self.refused[usize::from(host) - 1] = None;
                    }
                }
                effects
            }
            Step::Check { after, host, kind, latency } => {
                self.now += Duration::from_millis(*after);
                let outcome = Outcome { kind: *kind, detail: "".into(), advice: None };
                let latency = Duration::from_millis(*latency);
                let seen = Observation { probe: probe(*host, 0), outcome, latency };
                if *kind == OutcomeKind::Refused && self.progresses(*host) {
                    self.refused[usize::from(*host) - 1].get_or_insert(None);
                }
                self.engine.handle(self.now, Input::Observation(seen))
            }
            Step::Tick { after } => {
                self.now += Duration::from_millis(*after);
                self.engine.handle(self.now, Input::Tick)
            }
            Step::Reload { most } => {
                self.most = *most;
                self.reload()
            }
        }
    }

    fn count(&mut self, deeds: &[Deed]) {
        let gap = self.sampled.map_or(0.0, |at| (self.now - at).as_secs_f64());
        let stood = self.sampled.is_none_or(|at| self.now - at > PROGRESS);
        if stood {
            self.resumed = self.now;
        }
        self.sampled = Some(self.now);
        let known = self.heard.iter_mut().zip(&mut self.refused);
        for ((load, deed), (heard, refused)) in self.loads.iter_mut().zip(deeds).zip(known) {
            let taken = if deed.answers { deed.come - deed.failed } else { 0 };
            let ended = if deed.answers { deed.end.min(load.active) } else { 0 };
            load.begun += deed.come;
            load.failed += deed.failed;
            load.active = load.active + deed.come - deed.failed - ended;
            load.established = load.established.map(|it| it + taken);
            load.bytes_out = load.bytes_out.map(|it| it + ended);
            if stood {
                (*heard, *refused) = ((self.now, 0), None);
                continue;
            }
            let before = *refused;
            *refused = before.map(|silent| Some(silent.unwrap_or_default()));
            if taken + ended > 0 {
                *heard = (self.now, 0);
                refused.take_if(|_| matches!(before, Some(Some(_))));
                continue;
            }
            heard.1 += deed.come;
            if let Some(Some(silent)) = before
                && deed.failed > 0
            {
                *refused = Some(Some(silent + gap));
                if silent + gap >= CRASHED {
                    heard.0 = self.now - PROGRESS - Duration::from_millis(1);
                }
            }
        }
    }

    fn weight(&self, host: u8) -> u32 {
        self.destination(host).weight
    }

    fn destination(&self, host: u8) -> Destination {
        self.engine.desired("web").unwrap().destinations[usize::from(host) - 1]
    }

    fn server(&self, host: u8) -> RealServerStatus<'_> {
        self.engine.status().next().unwrap().real_servers().nth(usize::from(host) - 1).unwrap()
    }

    fn progresses(&self, host: u8) -> bool {
        self.now - self.heard[usize::from(host) - 1].0 <= PROGRESS
    }

    fn is_silent(&self, host: u8) -> bool {
        self.heard[usize::from(host) - 1].1 > 0 && !self.progresses(host)
    }

    /// Whether an outcome says nothing, because the director stood still.
    fn is_void(&self, kind: OutcomeKind, latency: u64) -> bool {
        let during_a_stall = self.now - Duration::from_millis(latency) < self.resumed;
        kind != OutcomeKind::Refused && is_slow(kind) && (!self.sees() || during_a_stall)
    }

    /// Whether samples come as they should.
    fn sees(&self) -> bool {
        self.sampled.is_some_and(|at| self.now - at <= PROGRESS)
    }
}

fn is_slow(kind: OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::Refused | OutcomeKind::AnswerTimeout | OutcomeKind::ConnectTimeout)
}

proptest! {
    #[test]
    fn caps_hold(steps in history()) {
        let mut run = Run::new(Mode::Protect, epoch());
        for step in &steps {
            let _any = run.step(step);
            for host in 1..=SERVERS {
                let (destination, status) = (run.destination(host), run.server(host).overload.unwrap());
                let cap = destination.cap.map_or(u64::MAX, u64::from);
                prop_assert!(cap >= 1);
                prop_assert!(run.most == 0 || cap <= u64::from(run.most));
                let known = run.sampled.is_some() && run.engine.status().next().unwrap().overload.unwrap().sampled;
                let reloaded = matches!(step, Step::Reload { .. });
                let kept = status.learned.is_none_or(|it| cap <= u64::from(it));
                prop_assert!(!known || reloaded || kept);
                prop_assert_eq!(destination.cap, status.cap);
            }
        }
    }

    #[test]
    fn nobody_who_serves_is_ejected_for_being_slow(steps in history()) {
        let mut run = Run::new(Mode::Protect, epoch());
        let mut last = vec![OutcomeKind::Passed; SERVERS.into()];
        for step in &steps {
            let before: Vec<_> = (1..=SERVERS).map(|host| run.weight(host)).collect();
            let _any = run.step(step);
            if let Step::Check { host, kind, latency, .. } = step
                && !run.is_void(*kind, *latency)
            {
                last[usize::from(*host) - 1] = *kind;
            }
            if !run.sees() {
                continue;
            }
            for host in 1..=SERVERS {
                let index = usize::from(host) - 1;
                let ejected = before[index] > 0 && run.weight(host) == 0;
                prop_assert!(!(ejected && is_slow(last[index]) && run.progresses(host)), "server {}", host);
            }
        }
    }

    #[test]
    fn the_dead_are_out_at_the_first_check_that_says_so(steps in history()) {
        let mut run = Run::new(Mode::Protect, epoch());
        for step in &steps {
            let _any = run.step(step);
            let Step::Check { host, kind, latency, .. } = step else { continue };
            let silent = (1..=SERVERS).filter(|host| run.is_silent(*host)).count();
            let told = is_slow(*kind) && !run.is_void(*kind, *latency);
            let single = run.is_silent(*host) && silent <= usize::from(SERVERS / 2);
            let known = run.engine.status().next().unwrap().overload.unwrap().sampled;
            if known && run.sees() && (*kind == OutcomeKind::Unreachable || told && single) {
                prop_assert_eq!(run.weight(*host), 0, "server {} after {}", host, kind);
            }
        }
    }

    #[test]
    fn wrong_answers_take_out_few_and_one_at_a_time(steps in history()) {
        let mut run = Run::new(Mode::Protect, epoch());
        let mut last = vec![OutcomeKind::Passed; SERVERS.into()];
        let mut ejected: Option<Instant> = None;
        for step in &steps {
            let before: Vec<_> = (1..=SERVERS).map(|host| run.weight(host)).collect();
            let _any = run.step(step);
            match step {
                Step::Check { host, kind, latency, .. } if !run.is_void(*kind, *latency) => {
                    last[usize::from(*host) - 1] = *kind;
                }
                Step::Sample { .. } if run.now > run.resumed => {
                    let out = |host: &u8| {
                        let index = usize::from(*host) - 1;
                        before[index] > 0 && run.weight(*host) == 0
                            && last[index] == OutcomeKind::WrongAnswer && run.progresses(*host)
                    };
                    let soft = (1..=SERVERS).filter(out).count();
                    prop_assert!(soft <= 1);
                    if soft == 1 {
                        prop_assert!(ejected.is_none_or(|at| run.now - at >= Duration::from_secs(2)));
                        ejected = Some(run.now);
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn overload_declares_nobody_dead(steps in history()) {
        let mut run = Run::new(Mode::Protect, epoch());
        for step in &steps {
            let _any = run.step(step);
            for host in 1..=SERVERS {
                let server = run.server(host);
                let down = matches!(server.health, Health::Down { .. });
                prop_assert!(run.destination(host).alive || down);
                let stand = server.overload.unwrap().stand;
                prop_assert!(stand == Stand::AsChecked || run.destination(host).alive);
                prop_assert_eq!(run.weight(host) > 0, stand == Stand::Kept || stand == Stand::AsChecked && !down);
            }
        }
    }

    #[test]
    fn observing_changes_nothing(steps in history()) {
        let start = epoch();
        let (mut off, mut observe) = (Run::new(Mode::Off, start), Run::new(Mode::Observe, start));
        for step in &steps {
            prop_assert_eq!(off.step(step), observe.step(step));
            prop_assert_eq!(off.engine.desired("web"), observe.engine.desired("web"));
            for host in 1..=SERVERS {
                let (off, observe) = (off.server(host), observe.server(host));
                prop_assert_eq!((off.health, off.reason), (observe.health, observe.reason));
            }
        }
    }

    #[test]
    fn effects_are_the_difference_between_before_and_after(steps in history()) {
        let mut run = Run::new(Mode::Protect, epoch());
        for step in &steps {
            let before = run.engine.desired("web");
            let effects = run.step(step);
            prop_assert_eq!(effects.changed.is_empty(), before == run.engine.desired("web"));
            prop_assert!(run.engine.timers_agree());
        }
    }
}
