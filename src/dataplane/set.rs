//! All dataplanes of a director, each kept as desired by a thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{CounterSource, Counters, Dataplane, Reconciler, Report, Table};
use crate::config::DataplaneKind;

/// The event loop's end of all dataplanes.
pub struct Dataplanes(BTreeMap<DataplaneKind, Reconciler>);

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
            Reconciler::start(kind, dataplane, resync, reports.clone()).map(|reconciler| (kind, reconciler))
        };
        dataplanes.into_iter().map(start).collect::<Result<_, _>>().map(Self)
    }

    /// From now on this is what should be.
    pub fn set_desired(&self, table: &Table) {
        for (kind, reconciler) in &self.0 {
            let mine = table.iter().filter(|(_, service)| service.attributes.dataplane.kind() == *kind);
            reconciler
                .set_desired(Arc::new(mine.map(|(key, service)| (*key, Arc::clone(service))).collect()));
        }
    }

    /// Another handle for counters only.
    pub fn counter_sources(&self) -> CounterSources {
        CounterSources(self.0.values().map(Reconciler::counter_source).collect())
    }

    /// Takes no new connections from now on.
    pub fn stop_accepting(&self) {
        self.0.values().for_each(Reconciler::stop_accepting);
    }

    /// Connections that live; none when a dataplane does not answer in time.
    pub async fn active(&self, deadline: Duration) -> Option<u64> {
        let mut active = 0;
        for reconciler in self.0.values() {
            active += reconciler.active(deadline).await?;
        }
        Some(active)
    }

    /// Are all threads still there?
    pub fn are_running(&self) -> bool {
        self.0.values().all(Reconciler::is_running)
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
}

impl Counters {
    fn merge(&mut self, other: Self) {
        self.services.extend(other.services);
        self.destinations.extend(other.destinations);
        self.limits.active += other.limits.active;
        self.limits.connections += other.limits.connections;
        self.limits.descriptors += other.limits.descriptors;
    }
}
