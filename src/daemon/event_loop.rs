//! The event loop: everything that happens passes here, one thing at a time.

mod reload;
mod stop;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_checkers::{Observation, Probe};
use tidegate_engine::{Effects, Engine, Health, Input};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use super::RunError;
use super::events::EventLog;
use super::flood::Flood;
use super::loader::{Loaded, Loader};
use super::notify::{Notifier, watchdog_interval};
use super::runners::Runners;
use super::sampler::{Sample, Sampler};
use super::state_file::StateFile;
use crate::clock;
use crate::config::{self, DataplaneKind, Model};
use crate::control::{self, Feed, Request};
use crate::dataplane::{Dataplane, Dataplanes, Leading, Report, ServiceKey, Table, services};
use crate::failover::{self, Failover};
use crate::plan::Description;
use crate::probes::Probes;

// A full queue makes its sender wait, not the loop. An element of the first is a batch.
const OBSERVATIONS: usize = 4;
const REQUESTS: usize = 32;
const REPORTS: usize = 4;
// How often a stopping director looks whether the last connection has ended, and any whether its parts live.
const HEARTBEAT: Duration = Duration::from_millis(100);
// Checks have given their verdicts by then, or cannot be run.
const FIRST_VERDICTS: Duration = Duration::from_secs(10);
// A dataplane that does not answer keeps the checks waiting no longer. A large table takes less on a slow machine.
const FIRST_TABLE: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_millis(100);
// How long a stopping director waits for the dataplane's number of connections, at a time.
const ANSWER: Duration = Duration::from_millis(100);

/// The director's state and the ends of its queues.
pub(super) struct EventLoop {
    pub(super) file: PathBuf,
    pub(super) model: Model,
    pub(super) started: Instant,
    pub(super) applied: Instant,
    pub(super) generation: u64,
    pub(super) last_error: Option<String>,
    pub(super) engine: Engine,
    pub(super) runner: Runners,
    /// Until every dataplane has had its first table: what is to be checked then.
    first_probes: Option<Arc<Vec<Arc<Probe>>>>,
    pub(super) reports: BTreeMap<DataplaneKind, Report>,
    pub(super) not_run: u64,
    probes: Probes,
    flood: Flood,
    log: EventLog,
    feed: Feed,
    desired: Table,
    /// Virtual servers whose place in the desired table is to be made anew at the end of the turn.
    changed: BTreeSet<Arc<str>>,
    dataplanes: Dataplanes,
    sampler: Sampler,
    state_file: StateFile,
    failover: Failover,
    notifier: Notifier,
    queues: Queues,
    stopping: Stopping,
    hand_over: mpsc::Sender<()>,
}

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    No,
    /// The virtual routers hand over to the other director; everything else goes on.
    HandingOver,
    /// No new connections; those that live have until then.
    Until(Instant),
}

struct Queues {
    observations: mpsc::Receiver<Vec<Observation>>,
    requests: mpsc::Receiver<Request>,
    reports: mpsc::Receiver<(DataplaneKind, Report)>,
    samples: mpsc::Receiver<Sample>,
    loads: mpsc::Receiver<Loaded>,
    load: Loader,
    handed_over: mpsc::Receiver<()>,
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

enum Turn {
    Observations(Vec<Observation>),
    Request(Request),
    Report(DataplaneKind, Report),
    Sample(Sample),
    Hangup,
    Loaded(Loaded),
    Failover(failover::News),
    HandedOver,
    Terminate(&'static str),
    Deadline,
    Heartbeat,
    /// The checks have ended by a bug of ours: health would stay as it is for ever.
    NoChecks,
}

impl EventLoop {
    /// Starts the checks in a runtime of theirs, the dataplane's thread and the control socket. Must be called inside
    /// a runtime.
    pub(super) fn start(
        file: PathBuf,
        loader: config::Loader,
        model: Model,
        dataplanes: Vec<(DataplaneKind, Box<dyn Dataplane>)>,
        leading: Leading,
        socket: UnixListener,
        checks: &Handle,
    ) -> Result<Self, RunError> {
        let (observations, observed) = mpsc::channel(OBSERVATIONS);
        let (request, requests) = mpsc::channel(REQUESTS);
        let (report, reports) = mpsc::channel(REPORTS);
        let (load, loads) = mpsc::channel(1);
        let (hand_over, handed_over) = mpsc::channel(1);
        let seed = seed(&model.director.id);
        let dataplanes = Dataplanes::start(dataplanes, model.director.resync_interval, &report)?;
        let feed = Feed::default();
        let server = control::serve(socket, request, dataplanes.counter_sources(), feed.clone());
        tokio::spawn(async move {
            if let Err(error) = server.await {
                error!(%error, "the control socket cannot be served; the director goes on without it");
            }
        });
        let now = clock::now();
        let (sampler, samples) = Sampler::new(now, dataplanes.counter_sources());
        let mut this = Self {
            file,
            model: Model { director: model.director.clone(), ..Model::default() },
            started: now,
            applied: now,
            generation: 0,
            last_error: None,
            engine: Engine::new(),
            runner: Runners::start(checks, &model.director, seed, &observations),
            first_probes: Some(Arc::default()),
            reports: BTreeMap::new(),
            not_run: 0,
            probes: Probes::default(),
            flood: Flood::default(),
            log: EventLog::new(now, feed.clone()),
            failover: Failover::new(leading, feed.clone()),
            feed,
            desired: Table::new(),
            changed: BTreeSet::new(),
            dataplanes,
            sampler,
            state_file: StateFile::new(now, model.director.state_file.clone()),
            notifier: Notifier::start()?,
            queues: Queues {
                observations: observed,
                requests,
                reports,
                samples,
                loads,
                load: Loader::new(loader, load),
                handed_over,
                hangup: signal(SignalKind::hangup())?,
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            },
            stopping: Stopping::No,
            hand_over,
        };
        this.failover.configure(&model)?;
        this.apply(now, model);
        if let Some(learned) = this.state_file.read() {
            this.engine.recall(&learned);
        }
        Ok(this)
    }

    /// Runs until the director has stopped in order.
    pub(super) async fn run(mut self) -> Result<(), RunError> {
        info!(
            id = self.model.director.id,
            file = %self.file.display(),
            control_socket = %self.model.director.control_socket.display(),
            virtual_servers = self.model.virtual_servers.len(),
            version = env!("CARGO_PKG_VERSION"),
            "director runs"
        );
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let watchdog = watchdog_interval();
        let mut watched = self.started;
        let mut ticked = self.started;
        loop {
            // A late tick makes up for all that is due, so heavy weights need not ramp in thousands of steps a second.
            let deadline = self.engine.deadline().map(|deadline| deadline.max(ticked + TICK));
            let turn = self.queues.next(&mut self.failover, deadline, &mut heartbeat).await;
            let now = clock::now();
            let due =
                |interval: Duration| now.duration_since(watched) >= interval.min(Duration::from_secs(5));
            // A director that reaches no dataplane is no better than one that hangs itself.
            if watchdog.is_some_and(due) && !self.dataplanes.hang() {
                self.notifier.alive();
                watched = now;
            }
            match turn {
                Turn::Observations(batch) => self.observe(now, batch),
                Turn::Request(request) => self.answer(now, request),
                Turn::Report(kind, report) => self.take_report(kind, report),
                Turn::Sample(sample) => self.sample(now, &sample),
                Turn::Hangup => self.load(),
                Turn::Loaded(result) => self.loaded(now, result),
                Turn::Failover(failover::News::Ended) if self.is_stopping() => self.failover.end(),
                Turn::Failover(failover::News::Ended) => return Err(lost("a thread of the virtual routers")),
                Turn::Failover(news) => {
                    if self.failover.take(news, &self.model) {
                        self.dataplanes.set_desired(&self.desired);
                    }
                }
                Turn::HandedOver => self.let_go(now),
                Turn::Terminate(signal) => {
                    if self.is_stopping() {
                        info!(signal, "told to stop again: the director stops now");
                        self.state_file.keep_last(self.engine.learned()).await;
                        return Ok(());
                    }
                    self.stop(now, signal);
                }
                Turn::Deadline => {
                    ticked = now;
                    let effects = self.engine.handle(now, Input::Tick);
                    self.take(now, effects);
                }
                Turn::Heartbeat => {
                    self.log.heartbeat(now);
                    self.listen(now);
                    self.tell_quorums(now);
                    if now.duration_since(self.started) >= FIRST_TABLE {
                        self.begin();
                    }
                    self.sampler.ask(now, &self.model.virtual_servers);
                    self.state_file.keep(now, || self.engine.learned()).await;
                    if self.heartbeat(now).await? {
                        self.state_file.keep_last(self.engine.learned()).await;
                        return Ok(());
                    }
                }
                Turn::NoChecks => return Err(lost("what runs the checks")),
            }
            if !self.changed.is_empty() {
                self.tell_quorums(now);
                self.hand_over();
            }
        }
    }

    fn observe(&mut self, now: Instant, batch: Vec<Observation>) {
        for observation in batch {
            let Observation { probe, outcome, latency } = observation;
            self.heard(now, probe, &outcome);
            let target = || self.probes.target(probe).map(tracing::field::display);
            debug!(target = target(), ?outcome, latency_ms = latency.as_secs_f64() * 1e3, "check ended");
            if let tidegate_checkers::Outcome::NotRun(reason) = &outcome {
                self.not_run += 1;
                if let Some(held_back) = self.flood.admit(now, reason) {
                    warn!(
                        target = target(),
                        reason, held_back, "a check could not be run; what is known about its servers stays"
                    );
                }
            }
            let effects = self.engine.handle(
                now,
                Input::Observation(tidegate_engine::Observation {
                    probe: tidegate_engine::ProbeId(probe),
                    outcome: self.probes.outcome(outcome),
                    latency,
                }),
            );
            self.take(now, effects);
        }
    }

    /// Tells the overload protection what the dataplanes have counted.
    fn sample(&mut self, now: Instant, sample: &Sample) {
        let mut effects = Effects::default();
        for traffic in sample.traffic(&self.model.virtual_servers) {
            let Effects { events, changed } = self.engine.handle(now, Input::Traffic(traffic));
            effects.events.extend(events);
            effects.changed.extend(changed);
        }
        self.sampler.taken(sample.asked());
        self.take(now, effects);
    }

    fn answer(&mut self, now: Instant, request: Request) {
        // Whoever asked may have left; that is no concern of the loop.
        match request {
            Request::Status(reply) => drop(reply.send((self.snapshot(now), self.failover.vrrp()))),
            Request::Failover(reply) => drop(reply.send(self.failover.vrrp())),
            Request::Configuration(reply) => drop(reply.send(Description::of(&self.model))),
            Request::Command(command, reply) => {
                let done = match self.engine.command(now, command) {
                    Ok(effects) => {
                        let done = done(&effects);
                        self.take(now, effects);
                        Ok(done)
                    }
                    Err(error) => Err(error.to_string()),
                };
                drop(reply.send(done));
            }
        }
    }

    fn take_report(&mut self, kind: DataplaneKind, report: Report) {
        let before = self.reports.remove(&kind).unwrap_or_default();
        for (service, error) in &report.errors {
            if before.errors.get(service) != Some(error) {
                error!(listen = %service, %error, "the dataplane does not serve this as it should; trying again");
            }
        }
        let served = |service: &&ServiceKey| {
            !report.errors.contains_key(*service) && self.desired.contains_key(*service)
        };
        for service in before.errors.keys().filter(served) {
            info!(listen = %service, "the dataplane serves this as it should");
        }
        match &report.unreadable {
            Some(error) if before.unreadable.as_ref() != Some(error) => {
                error!(dataplane = %kind, %error, "the dataplane cannot be read; trying again");
            }
            None if before.unreadable.is_some() => {
                info!(dataplane = %kind, "the dataplane can be read again")
            }
            _ => {}
        }
        self.reports.insert(kind, report);
        if self.reports.len() == self.dataplanes.count() {
            self.begin();
        }
    }

    fn take(&mut self, now: Instant, effects: Effects) {
        self.log.write(now, &effects.events);
        self.changed.extend(effects.changed);
    }

    /// Hands what was decided to the dataplane.
    fn hand_over(&mut self) {
        for name in std::mem::take(&mut self.changed) {
            let found = self.model.virtual_server(&name).zip(self.engine.desired(&name));
            let Some((virtual_server, desired)) = found else { continue };
            self.desired.extend(services(virtual_server, &desired));
        }
        self.dataplanes.set_desired(&self.desired);
    }

    /// Tells the virtual routers of the quorums that they track. They wait for the first verdict, but not for a check
    /// that cannot be run.
    fn tell_quorums(&mut self, now: Instant) {
        let late = now.saturating_duration_since(self.applied) > FIRST_VERDICTS;
        let tracked: Vec<_> = self.failover.tracked_quorums().cloned().collect();
        for name in tracked {
            let Some(status) = self.engine.virtual_server(&name) else { continue };
            let unknown = || status.real_servers().any(|it| matches!(it.health, Health::Unknown { .. }));
            let decided = status.quorum.held || late || !unknown();
            let held = decided.then_some(status.quorum.held);
            self.failover.quorum(&name, held);
        }
    }

    /// True when a stopping director has nothing left to wait for.
    async fn heartbeat(&mut self, now: Instant) -> Result<bool, RunError> {
        if !self.dataplanes.are_running() {
            return Err(lost("a thread of a dataplane"));
        }
        if let Some(fault) = self.runner.fault() {
            error!(fault, "checks cannot be run any more");
            return Err(lost("what runs the checks"));
        }
        if let Some(reason) = self.runner.start_missing()
            && let Some(held_back) = self.flood.admit(now, &reason)
        {
            error!(reason, held_back, "some checks do not run; this is tried again with every heartbeat");
        }
        for kind in self.dataplanes.watch() {
            error!(dataplane = %kind, "the dataplane hangs: what is decided does not reach it");
        }
        let Stopping::Until(deadline) = self.stopping else { return Ok(false) };
        let active = self.dataplanes.active(ANSWER).await;
        if (active != Some(0) || !self.failover.has_ended()) && now < deadline {
            return Ok(false);
        }
        info!(connections_cut = active, "director has stopped");
        Ok(true)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping != Stopping::No
    }

    pub(super) fn listen_error(&self, key: &ServiceKey) -> Option<String> {
        self.reports.values().find_map(|report| report.errors.get(key)).map(ToString::to_string)
    }

    fn summary(&self) -> String {
        let not_reloaded = if self.last_error.is_some() { "; the last reload was not applied" } else { "" };
        let virtual_servers = self.model.virtual_servers.len();
        format!("{virtual_servers} virtual servers, configuration {}{not_reloaded}", self.generation)
    }
}

impl Queues {
    async fn next(
        &mut self,
        failover: &mut Failover,
        deadline: Option<Instant>,
        heartbeat: &mut tokio::time::Interval,
    ) -> Turn {
        tokio::select! {
            _ = self.terminate.recv() => Turn::Terminate("SIGTERM"),
            _ = self.interrupt.recv() => Turn::Terminate("SIGINT"),
            _ = self.hangup.recv() => Turn::Hangup,
            Some(result) = self.loads.recv() => Turn::Loaded(result),
            news = failover.next() => Turn::Failover(news),
            Some(()) = self.handed_over.recv() => Turn::HandedOver,
            Some(request) = self.requests.recv() => Turn::Request(request),
            Some((kind, report)) = self.reports.recv() => Turn::Report(kind, report),
            Some(sample) = self.samples.recv() => Turn::Sample(sample),
            batch = self.observations.recv() => batch.map_or(Turn::NoChecks, Turn::Observations),
            () = until(deadline) => Turn::Deadline,
            _ = heartbeat.tick() => Turn::Heartbeat,
        }
    }
}

fn lost(what: &'static str) -> RunError {
    let lost = RunError::Lost(what);
    error!("{lost}");
    lost
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Directors with different names do not check in step.
fn seed(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

fn done(effects: &Effects) -> String {
    let said: BTreeSet<_> = effects
        .events
        .iter()
        .filter_map(|event| match event {
            tidegate_engine::Event::Operator { what, .. } => Some(what.as_str()),
            _ => None,
        })
        .collect();
    if said.is_empty() { "nothing to change".into() } else { said.into_iter().collect::<Vec<_>>().join(", ") }
}
