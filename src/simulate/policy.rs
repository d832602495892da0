//! What a director does about its servers: Tidegate's engine, and the rules of others as far as they matter here.

mod peer;
mod tidegate;

use tidegate_engine::{Mode, OutcomeKind};

use super::dataplane::{Counters, Destination, Kind};
use super::scenario::Scenario;

/// The policies by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Policy {
    /// Tidegate's engine on its proxy
    Tidegate,
    /// The same with overload protection off
    TidegateOff,
    /// keepalived on IPVS: a failed server is deleted, one success brings it back
    Keepalived,
    /// ldirectord on IPVS: checks one after the other, a failed server is deleted
    Ldirectord,
    /// Envoy: least request, all servers when fewer than half are healthy
    Envoy,
    /// HAProxy in TCP mode, leastconn, without maxconn
    Haproxy,
    /// The same with maxconn set to each server's knee by hand, and its queue
    HaproxyMaxconn,
    /// IPVS with no checks
    AlwaysOn,
}

/// How a policy's director works.
#[derive(Debug, Clone, Copy)]
pub(super) struct Director {
    pub(super) dataplane: Kind,
    pub(super) checks: Checks,
    /// Servers tried for one connection.
    pub(super) attempts: usize,
    /// How long a connection waits for a server to have room.
    pub(super) queue: f64,
}

/// When servers are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checks {
    Never,
    /// Each at its own interval.
    Parallel,
    /// One after the other, and again after the interval.
    Serial,
}

/// What one check has found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) server: usize,
    pub(super) kind: OutcomeKind,
    pub(super) latency: f64,
}

/// The part that decides.
pub(super) trait Brain {
    fn observe(&mut self, now: f64, seen: Seen);
    /// The dataplane's counters and how many were turned away in total.
    fn sample(&mut self, _now: f64, _counters: &[Counters], _turned_away: u64) {}
    fn destinations(&self) -> &[Destination];
}

impl Policy {
    pub(super) fn director(self) -> Director {
        let ipvs = Director { dataplane: Kind::Ipvs, checks: Checks::Parallel, attempts: 1, queue: 0.0 };
        let proxy = Director { dataplane: Kind::Proxy, attempts: 3, ..ipvs };
        match self {
            Self::Tidegate | Self::TidegateOff | Self::Haproxy => proxy,
            // `timeout queue` is that of connecting, 5 s in most examples.
            Self::HaproxyMaxconn => Director { queue: 5.0, ..proxy },
            Self::Envoy => Director { attempts: 1, ..proxy },
            Self::Keepalived => ipvs,
            Self::Ldirectord => Director { checks: Checks::Serial, ..ipvs },
            Self::AlwaysOn => Director { checks: Checks::Never, ..ipvs },
        }
    }

    pub(super) fn brain(self, scenario: &Scenario) -> Box<dyn Brain> {
        use peer::{Counting, Rules};
        let fall = scenario.check.fall;
        let rules = Rules { fall, rise: scenario.check.rise, deletes: false, panic: 0.0, capped: false };
        Box::new(match self {
            Self::Tidegate => return Box::new(tidegate::Tidegate::new(Mode::Protect, scenario)),
            Self::TidegateOff => return Box::new(tidegate::Tidegate::new(Mode::Off, scenario)),
            Self::Keepalived => Counting::new(Rules { rise: 1, deletes: true, ..rules }, scenario),
            Self::Ldirectord => Counting::new(Rules { fall: 1, rise: 1, deletes: true, ..rules }, scenario),
            Self::Envoy => Counting::new(Rules { panic: 0.5, ..rules }, scenario),
            Self::HaproxyMaxconn => Counting::new(Rules { capped: true, ..rules }, scenario),
            Self::Haproxy | Self::AlwaysOn => Counting::new(rules, scenario),
        })
    }
}
