//! Runs the probes when the schedule says so.
//!
//! ```text
//!   update() ──probes (the latest set)──► event loop ──► one task per running check
//!                                         │  ▲  owns the schedule          │
//!   receiver ◄──batches of observations───┘  └───────observation───────────┘
//! ```
//!
//! Observations that the receiver has no room for wait in the event loop, the latest of each probe; so a slow
//! receiver costs older observations and never holds up a check.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, AbortHandle, JoinError, JoinSet};
use tokio::time::sleep_until;

use crate::check::Check;
use crate::schedule::{Actions, Input, Schedule, Stats};
use crate::tls::Contexts;
use crate::{Observation, Outcome, Probe, clock};

/// How to run probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The most checks that run at a time, each with one file descriptor.
    pub max_concurrent: usize,
    /// Decides the order of first runs and the jitter; directors of one pool should have different ones.
    pub seed: u64,
}

/// All that are to run. Ids are unique.
type Probes = Arc<Vec<Arc<Probe>>>;

/// Runs probes until it is dropped.
#[derive(Debug)]
pub struct Runner {
    probes: watch::Sender<Probes>,
    stats: Arc<Mutex<Stats>>,
}

impl Runner {
    /// Starts without probes. Observations come in batches, at most one of each probe; closing the receiver stops
    /// the runner.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with IO and time.
    pub fn start(settings: Settings, observations: mpsc::Sender<Vec<Observation>>) -> Self {
        let (probes, updates) = watch::channel(Probes::default());
        let stats = Arc::default();
        let event_loop = EventLoop {
            schedule: Schedule::new(settings.max_concurrent, settings.seed),
            checks: HashMap::new(),
            contexts: Contexts::default(),
            running: JoinSet::new(),
            handles: HashMap::new(),
            probe_of: HashMap::new(),
            outbox: BTreeMap::new(),
            stats: Arc::clone(&stats),
        };
        tokio::spawn(event_loop.run(updates, observations));
        Self { probes, stats }
    }

    /// Runs these probes and no others. One whose id is known keeps its schedule; one that is gone is stopped, its
    /// running check cancelled and its observation dropped unless it was sent before. Certificate files are read anew.
    pub fn update(&self, probes: impl Into<Arc<Vec<Arc<Probe>>>>) {
        self.probes.send_replace(probes.into());
    }

    /// How it goes.
    pub fn stats(&self) -> Stats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct EventLoop {
    schedule: Schedule,
    checks: HashMap<u64, Check>,
    contexts: Contexts,
    running: JoinSet<Observation>,
    /// The running checks, by probe; and the way back, since a cancelled check may still be heard of.
    handles: HashMap<u64, AbortHandle>,
    probe_of: HashMap<task::Id, u64>,
    /// What the receiver has had no room for, by probe.
    outbox: BTreeMap<u64, Observation>,
    stats: Arc<Mutex<Stats>>,
}

impl EventLoop {
    async fn run(
        mut self,
        mut updates: watch::Receiver<Probes>,
        observations: mpsc::Sender<Vec<Observation>>,
    ) {
        loop {
            let deadline = self.schedule.deadline();
            select! {
                changed = updates.changed() => match changed {
                    Ok(()) => {
                        let probes = updates.borrow_and_update().clone();
                        self.update(&probes);
                    }
                    Err(_) => return,
                },
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                room = observations.reserve(), if !self.outbox.is_empty() => match room {
                    Ok(room) => room.send(std::mem::take(&mut self.outbox).into_values().collect()),
                    Err(_) => return,
                },
                () = observations.closed() => return,
                () = sleep_until(deadline.unwrap_or_else(clock::now).into()), if deadline.is_some() => {
                    self.handle(Input::Tick);
                }
            }
            *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = self.schedule.stats();
        }
    }

    fn update(&mut self, probes: &[Arc<Probe>]) {
        let known = self.checks.len();
        let mut new = Vec::new();
        for probe in probes {
            if let Entry::Vacant(place) = self.checks.entry(probe.id) {
                place.insert(Check::new(Arc::clone(probe), &mut self.contexts));
                new.push((probe.id, probe.interval));
            }
        }
        let mut gone = Vec::new();
        if known + new.len() > probes.len() {
            let wanted: HashSet<u64> = probes.iter().map(|probe| probe.id).collect();
            gone.extend(self.checks.extract_if(|id, _| !wanted.contains(id)).map(|(id, _)| id));
            gone.sort_unstable();
        }
        self.contexts.renew();
        self.handle(Input::Update { new, gone });
    }

    fn ended(&mut self, ended: Result<(task::Id, Observation), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        // Not known: it was stopped.
        let Some(probe) = self.probe_of.remove(&id) else {
            return;
        };
        self.handles.remove(&probe);
        let observation = match ended {
            Ok((_, observation)) => observation,
            Err(error) => {
                let outcome = Outcome::NotRun(format!("a bug of ours has ended the check: {error}"));
                Observation { probe, outcome, latency: Duration::ZERO }
            }
        };
        self.outbox.insert(probe, observation);
        self.handle(Input::Finished(probe));
    }

    fn handle(&mut self, input: Input) {
        let Actions { stop, start } = self.schedule.handle(clock::now(), input);
        for probe in stop {
            self.outbox.remove(&probe);
            if let Some(handle) = self.handles.remove(&probe) {
                self.probe_of.remove(&handle.id());
                handle.abort();
            }
        }
        for probe in start {
            if let Some(check) = self.checks.get(&probe).cloned() {
                let handle = self.running.spawn(async move { check.run().await });
                self.probe_of.insert(handle.id(), probe);
                self.handles.insert(probe, handle);
            }
        }
    }
}
