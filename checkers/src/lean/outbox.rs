//! What has been observed and not been sent yet: the latest of each probe, so that a slow receiver costs older
//! observations and nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::Observation;

/// From one batch to the next: at thousands of checks a second, waking the receiver costs as much as a check.
const GAP: Duration = Duration::from_millis(10);

pub(super) struct Outbox {
    waiting: BTreeMap<u64, Observation>,
    receiver: mpsc::Sender<Vec<Observation>>,
    /// No batch before; none before the first.
    next: Option<Instant>,
}

impl Outbox {
    pub(super) fn new(receiver: mpsc::Sender<Vec<Observation>>) -> Self {
        Self { waiting: BTreeMap::new(), receiver, next: None }
    }

    pub(super) fn put(&mut self, observation: Observation) {
        self.waiting.insert(observation.probe, observation);
    }

    pub(super) fn forget(&mut self, probe: u64) {
        self.waiting.remove(&probe);
    }

    /// When to [flush](Self::flush) next; none while nothing waits.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| self.next.unwrap_or(now))
    }

    /// Sends what waits, if it is time and the receiver has room. False: there is no receiver any more.
    pub(super) fn flush(&mut self, now: Instant) -> bool {
        if self.deadline(now).is_none_or(|at| at > now) {
            return true;
        }
        self.next = Some(now + GAP);
        match self.receiver.try_reserve() {
            Ok(room) => room.send(std::mem::take(&mut self.waiting).into_values().collect()),
            Err(TrySendError::Full(())) => {}
            Err(TrySendError::Closed(())) => return false,
        }
        true
    }
}
