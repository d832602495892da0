//! A probe: one question to one target with one timing, asked for all who want to know.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::schedule::{Input, New, Schedule};
use crate::{Outcome, Spec};

/// All that are to run. Ids are unique.
pub(crate) type Probes = Arc<Vec<Arc<Probe>>>;

/// Where a check goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// The peer.
    pub address: SocketAddr,
    /// The local address to use.
    pub bind: Option<IpAddr>,
    /// The mark on the packets.
    pub fwmark: Option<u32>,
}

/// One question to one target with one timing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Never used for another probe.
    pub id: u64,
    /// Where.
    pub target: Target,
    /// What.
    pub spec: Arc<Spec>,
    /// From start to start, a millisecond at least and a year at most.
    pub interval: Duration,
    /// Over the whole check, from the first packet to the last byte. It may be longer than the interval: then a check
    /// that takes longer delays the next.
    pub timeout: Duration,
}

/// The result of one run of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The probe's id.
    pub probe: u64,
    /// What came of it.
    pub outcome: Outcome,
    /// From the start of the check to its end.
    pub latency: Duration,
}

/// What makes those that are `wanted` of the probes in the schedule, with a value for each that is new.
pub(crate) fn renew<'a, T>(
    schedule: &Schedule<T>,
    wanted: impl Iterator<Item = &'a Arc<Probe>>,
    mut value: impl FnMut(&Arc<Probe>) -> T,
) -> Input<T> {
    let mut gone: HashSet<u64> = schedule.ids().collect();
    let mut new = Vec::new();
    for probe in wanted {
        if !gone.remove(&probe.id) {
            new.push(New { id: probe.id, interval: probe.interval, value: value(probe) });
        }
    }
    Input::Update { new, gone }
}
