//! All dataplanes of a director, each kept as desired by a thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{CounterSource, Counters, Dataplane, Reconciler, Report, Table};
use crate::config::DataplaneKind;

// So many heartbeats without a turn of the dataplane's thread: it hangs.
const HANGING: u32 = 100;

/// The event loop's end of all dataplanes.
pub struct Dataplanes(BTreeMap<DataplaneKind, Watched>);

/// A dataplane, the turns of its thread, and the looks since they last grew.
struct Watched {
    reconciler: Reconciler,
    turns: u64,
    still: u32,
}

/// Asks all dataplanes for their counters.
#[derive(Clone)]
pub struct CounterSources(Vec<CounterSource>);

impl Dataplanes {
    /// Starts a thread for each.
    pub fn start(
        dataplanes: Vec<(DataplaneKind, Box<dyn Dataplane>)>,
        resync: Duration,
        reports: &mpsc::Sender<(DataplaneKind, Report)>,
    ) -> std::io::Result<Self> {
        let start = |(kind, dataplane)| {
            let reconciler = Reconciler::start(kind, dataplane, resync, reports.clone())?;
            Ok((kind, Watched { reconciler, turns: 0, still: 0 }))
        };
        dataplanes.into_iter().map(start).collect::<Result<_, _>>().map(Self)
    }

    /// From now on this is what should be.
    pub fn set_desired(&self, table: &Table) {
        for (kind, Watched { reconciler, .. }) in &self.0 {
            let mine = table.iter().filter(|(_, service)| service.attributes.dataplane.kind() == *kind);
            reconciler
                .set_desired(Arc::new(mine.map(|(key, service)| (*key, Arc::clone(service))).collect()));
        }
    }

    /// Another handle for counters only.
    pub fn counter_sources(&self) -> CounterSources {
        CounterSources(self.0.values().map(|it| it.reconciler.counter_source()).collect())
    }

    /// Takes no new connections from now on.
    pub fn stop_accepting(&self) {
        self.0.values().for_each(|it| it.reconciler.stop_accepting());
    }

    /// Connections that live; none when a dataplane does not answer in time.
    pub async fn active(&self, deadline: Duration) -> Option<u64> {
        let mut active = 0;
        for it in self.0.values() {
            active += it.reconciler.active(deadline).await?;
        }
        Some(active)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Are all threads still there?
    pub fn are_running(&self) -> bool {
        self.0.values().all(|it| it.reconciler.is_running())
    }

    /// To be called at every heartbeat. Names those that have just been found to hang.
    pub fn watch(&mut self) -> Vec<DataplaneKind> {
        let mut found = Vec::new();
        for (kind, it) in &mut self.0 {
            let turns = it.reconciler.turns();
            it.still = if turns == it.turns { it.still.saturating_add(1) } else { 0 };
            it.turns = turns;
            if it.still == HANGING {
                found.push(*kind);
            }
        }
        found
    }

    /// Does one of them not turn any more?
    pub fn hang(&self) -> bool {
        self.0.values().any(|it| it.still >= HANGING)
    }
}

impl CounterSources {
    /// The counters now; none when a dataplane does not answer in time.
    pub async fn read(&self, deadline: Duration) -> Option<Counters> {
        let mut all = Counters::default();
        for source in &self.0 {
            all.merge(source.read(deadline).await?);
        }
        Some(all)
    }

    /// The same of virtual servers that are protected from overload or observed.
    pub async fn sample(&self, deadline: Duration) -> Option<Counters> {
        let mut all = Counters::default();
        for source in &self.0 {
            all.merge(source.sample(deadline).await?);
        }
        Some(all)
    }
}

impl Counters {
    fn merge(&mut self, mut other: Self) {
        self.services.append(&mut other.services);
        if self.destinations.is_empty() {
            self.destinations = other.destinations;
        } else if !other.destinations.is_empty() {
            self.destinations.append(&mut other.destinations);
            self.sort();
        }
        self.limits.active += other.limits.active;
        self.limits.connections += other.limits.connections;
        self.limits.descriptors += other.limits.descriptors;
    }
}
