//! A probe: one question to one target with one timing, asked for all who want to know.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::schedule::Input;
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

/// Brings what is `known` of each probe in line with those that are `wanted`, and says what came and went.
pub(crate) fn renew<'a, T>(
    known: &mut HashMap<u64, T>,
    wanted: impl Iterator<Item = &'a Arc<Probe>> + Clone,
    mut make: impl FnMut(&Arc<Probe>) -> T,
) -> Input {
    let before = known.len();
    let mut new = Vec::new();
    let mut count = 0;
    for probe in wanted.clone() {
        count += 1;
        if let Entry::Vacant(place) = known.entry(probe.id) {
            place.insert(make(probe));
            new.push((probe.id, probe.interval));
        }
    }
    let mut gone = Vec::new();
    if before + new.len() > count {
        let wanted: HashSet<u64> = wanted.map(|probe| probe.id).collect();
        gone.extend(known.extract_if(|id, _| !wanted.contains(id)).map(|(id, _)| id));
        gone.sort_unstable();
    }
    Input::Update { new, gone }
}
