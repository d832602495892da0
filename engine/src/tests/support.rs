//! Configurations and a driver for tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::*;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Where a test's time begins.
#[allow(clippy::disallowed_methods)] // There is no other way to make an Instant, and no test waits.
pub(crate) fn epoch() -> Instant {
    Instant::now()
}

pub(crate) fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 80))
}

pub(crate) fn sorry() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8081))
}

pub(crate) fn check(key: &str) -> Check {
    Check { key: key.into(), rise: 2, fall: 3, initially: Initially::Down, only_admission: false }
}

/// The probe of real server `host` for its check number `check`.
pub(crate) fn probe(host: u8, check: u8) -> ProbeId {
    ProbeId(u64::from(host) * 10 + u64::from(check))
}

/// A virtual server "web" with the given checks and servers 1, 2, … of the given weights.
pub(crate) fn web(checks: &[Check], weights: &[u32]) -> VirtualServer {
    let servers = (1_u8..).zip(weights).map(|(host, weight)| RealServer {
        address: address(host),
        weight: *weight,
        max_connections: 0,
        probes: (0_u8..).zip(checks).map(|(check, _)| probe(host, check)).collect(),
    });
    VirtualServer {
        name: "web".into(),
        quorum: 1,
        hysteresis: 0,
        sorry_server: None,
        slow_start: Duration::ZERO,
        overload: Mode::Off,
        any_server: true,
        checks: checks.to_vec(),
        real_servers: servers.collect(),
    }
}

pub(crate) fn only(virtual_server: VirtualServer) -> Config {
    Config { virtual_servers: vec![virtual_server] }
}

pub(crate) fn observation(probe: ProbeId, kind: OutcomeKind) -> Input {
    let outcome = Outcome { kind, detail: "".into(), advice: None };
    Input::Observation(Observation { probe, outcome, latency: Duration::from_millis(1) })
}

/// An engine and the time it believes in.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
}

impl Bench {
    pub(crate) fn new(config: Config) -> Bench {
        let mut bench = Bench { engine: Engine::new(), now: epoch() };
        let effects = bench.reload(config);
        assert_eq!(effects.events, [], "the first configuration is no event");
        bench
    }

    pub(crate) fn reload(&mut self, config: Config) -> Effects {
        self.engine.reload(self.now, config)
    }

    pub(crate) fn later(&mut self, by: Duration) -> Effects {
        self.now += by;
        self.engine.handle(self.now, Input::Tick)
    }

    pub(crate) fn see(&mut self, probe: ProbeId, kind: OutcomeKind) -> Effects {
        self.engine.handle(self.now, observation(probe, kind))
    }

    /// One outcome of check 0 of the server.
    pub(crate) fn pass(&mut self, host: u8) -> Effects {
        self.see(probe(host, 0), OutcomeKind::Passed)
    }

    pub(crate) fn fail(&mut self, host: u8) -> Effects {
        self.see(probe(host, 0), OutcomeKind::Refused)
    }

    pub(crate) fn drain(&mut self, host: u8) -> Effects {
        self.command(Command::Drain { virtual_server: "web".into(), real_server: address(host) })
    }

    pub(crate) fn enable(&mut self, host: u8) -> Effects {
        self.command(Command::Enable { virtual_server: "web".into(), real_server: address(host) })
    }

    pub(crate) fn weigh(&mut self, host: u8, weight: u32) -> Effects {
        self.command(Command::Weight { virtual_server: "web".into(), real_server: address(host), weight })
    }

    fn command(&mut self, command: Command) -> Effects {
        self.engine.command(self.now, command).unwrap()
    }

    /// Weights in order of address, and the sorry server's when it serves.
    pub(crate) fn weights(&self) -> Vec<u32> {
        self.engine
            .desired("web")
            .unwrap()
            .destinations
            .iter()
            .map(|destination| destination.weight)
            .collect()
    }

    pub(crate) fn server(&self, host: u8) -> RealServerStatus<'_> {
        let web = self.engine.status().find(|server| &**server.name == "web").unwrap();
        web.real_servers().find(|server| server.address == address(host)).unwrap()
    }

    pub(crate) fn quorum(&self) -> QuorumStatus {
        self.engine.status().find(|server| &**server.name == "web").unwrap().quorum
    }

    /// The deciding check and the reason for the server's state.
    pub(crate) fn reason(&self, host: u8) -> String {
        self.server(host).reason.to_string()
    }
}

/// A pool whose two servers of weight 4 are up, in front of check "c" and a slow start of four seconds.
pub(crate) fn ramping() -> Bench {
    let mut bench = Bench::new(only(VirtualServer { slow_start: 4 * SECOND, ..web(&[check("c")], &[4, 4]) }));
    let _ = (bench.pass(1), bench.pass(2));
    bench
}

pub(crate) fn fail_three_times(bench: &mut Bench, host: u8) -> Effects {
    let _ = (bench.fail(host), bench.fail(host));
    bench.fail(host)
}

/// The texts of events, for people who read a test.
pub(crate) fn told(effects: &Effects) -> Vec<String> {
    effects.events.iter().map(tell).collect()
}

fn tell(event: &Event) -> String {
    match event {
        Event::Health { real_server, healthy, kept, check, reason, .. } => {
            let state = match (healthy, kept) {
                (true, _) => "up",
                (false, true) => "kept",
                (false, false) => "down",
            };
            format!("{} {state} by {check:?}: {reason}", real_server.ip())
        }
        Event::Quorum { held, sum, quorum, hysteresis, sorry_server, .. } => {
            let state = if *held { "gained" } else { "lost" };
            let sorry = if sorry_server.is_some() { ", sorry server" } else { "" };
            format!("quorum {state} at {sum} for {quorum} ± {hysteresis}{sorry}")
        }
        Event::Weight { real_server, check, before, weight, .. } => {
            format!("{} weight {weight} in place of {before} by {check:?}", real_server.ip())
        }
        Event::Overload { real_server, what, .. } => format!("{} {what}", real_server.ip()),
        Event::Operator { real_server, what, .. } => format!("{} {what}", real_server.ip()),
    }
}

/// The names in `changed`.
pub(crate) fn names(effects: &Effects) -> Vec<&str> {
    effects.changed.iter().map(Arc::as_ref).collect()
}
