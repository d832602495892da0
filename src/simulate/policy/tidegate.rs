//! Tidegate: the engine itself, told what the daemon would tell it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidegate_engine::{
    Check, Config, Engine, Initially, Input, Load, Mode, Observation, Outcome, ProbeId, RealServer, Role,
    Traffic, VirtualServer,
};

use super::{Brain, Seen};
use crate::clock;
use crate::simulate::dataplane::{Counters, Destination};
use crate::simulate::scenario::Scenario;

const NAME: &str = "simulated";

pub(super) struct Tidegate {
    engine: Engine,
    /// What the scenario's second 0 is to the engine. Only differences count.
    start: Instant,
    destinations: Vec<Destination>,
}

impl Tidegate {
    pub(super) fn new(mode: Mode, scenario: &Scenario) -> Self {
        let check = &scenario.check;
        let check = Check {
            key: "check".into(),
            rise: check.rise,
            fall: check.fall,
            initially: Initially::Up,
            only_admission: false,
        };
        let servers = &scenario.servers;
        let real_server = |index: usize| RealServer {
            address: address(index),
            weight: servers.weights[index % servers.weights.len()],
            max_connections: 0,
            probes: [ProbeId(index as u64)].into(),
        };
        let virtual_server = VirtualServer {
            name: NAME.into(),
            quorum: 1,
            hysteresis: 0,
            sorry_server: None,
            slow_start: Duration::ZERO,
            overload: mode,
            any_server: true,
            checks: vec![check],
            real_servers: (0..servers.count).map(real_server).collect(),
        };
        let start = clock::now();
        let mut engine = Engine::new();
        let _first = engine.reload(start, Config { virtual_servers: vec![virtual_server] });
        let mut this = Self { engine, start, destinations: Vec::new() };
        this.take();
        this
    }

    fn handle(&mut self, now: f64, input: Input) {
        let now = self.start + Duration::from_secs_f64(now);
        while let Some(deadline) = self.engine.deadline().filter(|it| *it < now) {
            let _wanted_below = self.engine.handle(deadline, Input::Tick);
        }
        let effects = self.engine.handle(now, input);
        if !effects.changed.is_empty() {
            self.take();
        }
    }

    fn take(&mut self) {
        let desired = self.engine.desired(NAME).map(|it| it.destinations).unwrap_or_default();
        let pool = desired.iter().filter(|it| it.role == Role::RealServer);
        self.destinations =
            pool.map(|it| Destination { weight: it.weight, cap: it.cap, present: true }).collect();
    }
}

impl Brain for Tidegate {
    fn observe(&mut self, now: f64, seen: Seen) {
        let observation = Observation {
            probe: ProbeId(seen.server as u64),
            outcome: Outcome { kind: seen.kind, detail: "".into(), advice: None },
            latency: Duration::from_secs_f64(seen.latency),
        };
        self.handle(now, Input::Observation(observation));
    }

    fn sample(&mut self, now: f64, counters: &[Counters], turned_away: u64) {
        let load = |(index, it): (usize, &Counters)| Load {
            address: address(index),
            active: it.active.into(),
            begun: it.begun,
            failed: it.failed,
            established: Some(it.established),
            bytes_out: Some(it.answers),
        };
        let real_servers = counters.iter().enumerate().map(load).collect();
        self.handle(now, Input::Traffic(Traffic { virtual_server: NAME.into(), turned_away, real_servers }));
    }

    fn destinations(&self) -> &[Destination] {
        &self.destinations
    }
}

/// In ascending order.
fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (index >> 8) as u8, index as u8], 80))
}
