//! Runs the probes when the schedule says so.
//!
//! ```text
//!   update() ─┬─probes (the latest set)──► lean threads: TCP, half-open, plain HTTP
//!             └─the same─────────────────► event loop ──► one task per running check
//!                                          │  ▲  owns the schedule          │
//!   receiver ◄──batches of observations────┘  └───────observation───────────┘
//! ```
//!
//! Observations that the receiver has no room for wait in the event loop, the latest of each probe; so a slow
//! receiver costs older observations and never holds up a check.

use std::collections::BTreeMap;
use std::collections::hash_map::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, AbortHandle, JoinError, JoinHandle, JoinSet};
use tokio::time::sleep_until;

use crate::check::Check;
use crate::lean::{self, Lean, Share};
use crate::probe::{Probes, renew};
use crate::schedule::{Actions, Input, Place, Schedule, Stats};
use crate::tls::Contexts;
use crate::{Observation, Outcome, Probe, clock};

/// How to run probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The most checks that run at a time, each with one file descriptor; those that are half-open have none and do
    /// not count. Each thread has a part of it as large as its part of the probes, at least one.
    pub max_concurrent: usize,
    /// The most threads for the checks that come by the thousand, TCP and HTTP/1 in clear text; at least one. They
    /// are used as there are more of these checks, one for each 8,000 a second. One more is for those that are half-open.
    pub threads: usize,
    /// Decides the order of first runs and the jitter; directors of one pool should have different ones.
    pub seed: u64,
}

/// Asks the probe's question once.
pub async fn run(probe: Arc<Probe>) -> Observation {
    let (sender, mut observations) = mpsc::channel(1);
    let runner = Runner::start(Settings { max_concurrent: 1, threads: 1, seed: 0 }, sender);
    runner.update(vec![Arc::clone(&probe)]);
    let observation = match runner.start_missing() {
        Some(fault) => Err(fault),
        None => observations.recv().await.and_then(|mut batch| batch.pop()).ok_or_else(String::new),
    };
    observation.unwrap_or_else(|fault| Observation {
        probe: probe.id,
        outcome: Outcome::NotRun(format!("the check has not ended: {fault}")),
        latency: Duration::ZERO,
    })
}

/// Runs probes until it is dropped.
#[derive(Debug)]
pub struct Runner {
    probes: watch::Sender<Probes>,
    stats: Arc<Mutex<Stats>>,
    event_loop: JoinHandle<()>,
    lean: Vec<Lean>,
    /// Of those, at most so many connect.
    threads: usize,
}

impl Runner {
    /// Starts without probes. Observations come in batches, at most one of each probe; closing the receiver stops
    /// the runner.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with IO and time.
    pub fn start(settings: Settings, observations: mpsc::Sender<Vec<Observation>>) -> Self {
        let shares = (0..settings.threads.max(1)).map(Share::Connecting);
        let new = |share| Lean::new(share, settings, observations.clone());
        let lean = shares.chain([Share::HalfOpen]).map(new).collect();
        let (probes, updates) = watch::channel(Probes::default());
        let stats = Arc::default();
        let event_loop = EventLoop {
            schedule: Schedule::new(settings.seed),
            probes: Probes::default(),
            max_concurrent: settings.max_concurrent,
            contexts: Contexts::default(),
            running: JoinSet::new(),
            handles: HashMap::new(),
            probe_of: HashMap::new(),
            outbox: BTreeMap::new(),
            stats: Arc::clone(&stats),
        };
        let event_loop = tokio::spawn(event_loop.run(updates, observations));
        Self { probes, stats, event_loop, lean, threads: settings.threads }
    }

    /// Runs these probes and no others. One whose id is known keeps its schedule, unless it moves to another thread
    /// since there are many more or fewer; one that is gone is stopped, its running check cancelled and its observation
    /// dropped unless it was sent before. Certificate files are read anew.
    pub fn update(&self, probes: impl Into<Arc<Vec<Arc<Probe>>>>) {
        let probes = probes.into();
        let threads = lean::threads(&probes, self.threads);
        self.lean.iter().for_each(|thread| thread.update(&probes, threads));
        self.probes.send_replace(probes);
    }

    /// Reads certificate files anew, as [`Self::update`] does, for the probes that there are.
    pub fn read_files_anew(&self) {
        self.probes.send_modify(|_| ());
    }

    /// How it goes.
    pub fn stats(&self) -> Stats {
        let own = *self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        self.lean.iter().map(Lean::stats).fold(own, Stats::and)
    }

    /// Tries again to start the threads that the system has not given when they were needed; why there still are not
    /// all, if so, and some checks do not run. To be called now and then.
    pub fn start_missing(&self) -> Option<String> {
        self.lean.iter().map(Lean::start_missing).fold(None, Option::or)
    }

    /// Why some checks do not run and never will, if so: a bug of ours.
    pub fn fault(&self) -> Option<String> {
        let ended = self.event_loop.is_finished().then(|| "the task of the checks has ended".to_owned());
        ended.or_else(|| self.lean.iter().find_map(Lean::fault))
    }
}

struct EventLoop {
    schedule: Schedule<Check>,
    /// As of the last update.
    probes: Probes,
    max_concurrent: usize,
    contexts: Contexts,
    running: JoinSet<Observation>,
    /// The running checks, by probe; and the way back, since a cancelled check may still be heard of.
    handles: HashMap<Place, AbortHandle>,
    probe_of: HashMap<task::Id, Place>,
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
                        self.update(probes);
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

    fn update(&mut self, probes: Probes) {
        let update = if Arc::ptr_eq(&self.probes, &probes) {
            Input::Tick
        } else {
            let mine = probes.iter().filter(|probe| !lean::does(&probe.spec));
            let contexts = &mut self.contexts;
            self.schedule.limit(lean::part(self.max_concurrent, mine.clone().count(), &probes));
            let update = renew(&self.schedule, mine, |probe| Check::new(Arc::clone(probe), contexts));
            self.probes = probes;
            update
        };
        self.contexts.renew();
        self.handle(update);
    }

    fn ended(&mut self, ended: Result<(task::Id, Observation), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        // Not known: it was stopped.
        let Some(place) = self.probe_of.remove(&id) else { return };
        let Some(probe) = self.schedule.id(place) else { return };
        self.handles.remove(&place);
        let observation = match ended {
            Ok((_, observation)) => observation,
            Err(error) => {
                let outcome = Outcome::NotRun(format!("a bug of ours has ended the check: {error}"));
                Observation { probe, outcome, latency: Duration::ZERO }
            }
        };
        self.outbox.insert(probe, observation);
        self.handle(Input::Finished(place));
    }

    fn handle(&mut self, input: Input<Check>) {
        let Actions { stop, start } = self.schedule.handle(clock::now(), input);
        for (place, probe) in stop {
            self.outbox.remove(&probe);
            if let Some(handle) = self.handles.remove(&place) {
                self.probe_of.remove(&handle.id());
                handle.abort();
            }
        }
        for (place, due) in start {
            if let Some(check) = self.schedule.get(place).cloned() {
                self.schedule.begins(clock::now(), due);
                let handle = self.running.spawn(async move { check.run().await });
                self.probe_of.insert(handle.id(), place);
                self.handles.insert(place, handle);
            }
        }
    }
}
