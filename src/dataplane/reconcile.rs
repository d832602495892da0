//! The loop that keeps a dataplane as desired: observe, plan, apply, and again.
//!
//! It has a thread of its own because a dataplane may block, and it is level-triggered: only the newest desired
//! table counts, and after an error, as well as every resync interval, the whole is compared again, piece by piece. In
//! between a dataplane may look only at what is desired otherwise than before.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::config::DataplaneKind;
use crate::{clock, threads};

use super::{Change, Counters, Dataplane, Error, Observed, ServiceKey, Table, plan};

/// What is wrong, told when it has become something else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Services that are not as desired, and why; empty when all is well.
    pub errors: BTreeMap<ServiceKey, Error>,
    /// The dataplane could not even be read.
    pub unreadable: Option<Error>,
}

/// The event loop's end of the thread.
pub struct Reconciler {
    orders: Arc<Mutex<Orders>>,
    requests: SyncSender<Request>,
    turns: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// Asks for the dataplane's counters without holding up the event loop.
#[derive(Clone)]
pub struct CounterSource(SyncSender<Request>);

/// What the thread is to do, as levels: giving an order waits for nothing, and none can be lost in a full queue.
#[derive(Default)]
struct Orders {
    desired: Option<Arc<Table>>,
    /// The desired table is another one than in the last round.
    changed: bool,
    stop_accepting: bool,
    end: bool,
}

enum Request {
    /// There are new orders.
    Wake,
    Counters(oneshot::Sender<Counters>),
    Sample(oneshot::Sender<Counters>),
    Active(oneshot::Sender<u64>),
}

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
// In the look that is made every resync interval each piece is followed by a pause so many times as long.
const PAUSE: u32 = 2;
const QUEUE: usize = 64;
// How often the thread looks whether all of the dataplane is still there.
const LOOK: Duration = Duration::from_secs(1);
// A dataplane that hangs does not keep the process from ending; a large table takes seconds to read and take back.
const END: Duration = Duration::from_secs(20);

impl Reconciler {
    /// Starts the thread. Reports arrive after the first round and when the set of errors changes; a report that the receiver has no room
    /// for is made again soon.
    pub fn start(
        kind: DataplaneKind,
        dataplane: Box<dyn Dataplane>,
        resync: Duration,
        reports: mpsc::Sender<(DataplaneKind, Report)>,
    ) -> std::io::Result<Self> {
        let orders = Arc::<Mutex<Orders>>::default();
        let (requests, queue) = sync_channel(QUEUE);
        let turns = Arc::<AtomicU64>::default();
        let round = Round {
            kind,
            dataplane,
            resync,
            reports,
            orders: Arc::clone(&orders),
            turns: Arc::clone(&turns),
            report: None,
            reported: None,
            due: clock::now() + resync,
            backoff: BACKOFF_FIRST,
            look: None,
            counters: Askers::default(),
            samples: Askers::default(),
            regulate: None,
        };
        let thread = std::thread::Builder::new().name(kind.to_string()).spawn(move || round.run(&queue))?;
        Ok(Self { orders, requests, turns, thread: Some(thread) })
    }

    /// From now on this is what should be.
    pub fn set_desired(&self, table: Arc<Table>) {
        self.order(|orders| (orders.desired, orders.changed) = (Some(table), true));
    }

    /// Another handle for counters only.
    pub fn counter_source(&self) -> CounterSource {
        CounterSource(self.requests.clone())
    }

    /// Takes no new connections from now on.
    pub fn stop_accepting(&self) {
        self.order(|orders| orders.stop_accepting = true);
    }

    /// Connections that live; none when the dataplane does not answer in time.
    pub async fn active(&self, deadline: Duration) -> Option<u64> {
        ask(&self.requests, deadline, Request::Active).await
    }

    /// False when the thread, or a part of the dataplane, has ended, which is a bug.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Grows at least once a second unless the dataplane hangs.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    fn order(&self, give: impl FnOnce(&mut Orders)) {
        give(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner));
        // After each request, whatever it is, the thread looks for orders; so a full queue wakes it as well.
        let (Ok(()) | Err(_)) = self.requests.try_send(Request::Wake);
    }
}

impl Drop for Reconciler {
    fn drop(&mut self) {
        // Others may hold on to a sender, so the queue does not close by itself.
        self.order(|orders| orders.end = true);
        if let Some(thread) = self.thread.take() {
            threads::join(thread, END);
        }
    }
}

impl CounterSource {
    /// The counters now; none when the dataplane does not answer in time.
    pub async fn read(&self, deadline: Duration) -> Option<Counters> {
        ask(&self.0, deadline, Request::Counters).await
    }

    /// The same of virtual servers that are protected from overload or observed.
    pub async fn sample(&self, deadline: Duration) -> Option<Counters> {
        ask(&self.0, deadline, Request::Sample).await
    }
}

async fn ask<T>(
    requests: &SyncSender<Request>,
    deadline: Duration,
    request: impl FnOnce(oneshot::Sender<T>) -> Request,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    let asked = async {
        send(requests, request(reply)).await;
        answer.await.ok()
    };
    tokio::time::timeout(deadline, asked).await.ok().flatten()
}

// The queue is short-lived when full: the thread works on it. Waiting must not block the caller's thread.
async fn send(requests: &SyncSender<Request>, mut request: Request) {
    loop {
        match requests.try_send(request) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => return,
            Err(TrySendError::Full(back)) => request = back,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Round {
    kind: DataplaneKind,
    dataplane: Box<dyn Dataplane>,
    resync: Duration,
    reports: mpsc::Sender<(DataplaneKind, Report)>,
    orders: Arc<Mutex<Orders>>,
    turns: Arc<AtomicU64>,
    /// What is wrong, as far as is known; none before the first look is over.
    report: Option<Report>,
    reported: Option<Report>,
    /// When the next look at the whole begins.
    due: Instant,
    backoff: Duration,
    /// A look is under way, and what has gone wrong in it.
    look: Option<BTreeMap<ServiceKey, Error>>,
    counters: Askers,
    samples: Askers,
    /// When what follows the traffic is to be set anew.
    regulate: Option<Instant>,
}

/// Who waits for the counters that are being read, and who has asked since that began.
#[derive(Default)]
struct Askers {
    waiting: Vec<oneshot::Sender<Counters>>,
    curious: Vec<oneshot::Sender<Counters>>,
}

impl Round {
    /// Until it is told to end, or the dataplane has lost a part. A look at the whole and the reading of the counters may
    /// take long: they are done piece by piece, and what is ordered meanwhile waits for one piece of each.
    fn run(mut self, queue: &Receiver<Request>) {
        let mut accepting = true;
        while self.dataplane.is_whole() {
            self.turns.fetch_add(1, Ordering::Relaxed);
            match queue.recv_timeout(self.rest()) {
                Ok(Request::Counters(reply)) => self.counters.curious.push(reply),
                Ok(Request::Sample(reply)) => self.samples.curious.push(reply),
                Ok(Request::Active(reply)) => answer(reply, || self.dataplane.active()),
                Ok(Request::Wake) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let (stop, changed, desired) = {
                let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
                if orders.end {
                    return;
                }
                let stop = std::mem::take(&mut orders.stop_accepting);
                (stop, std::mem::take(&mut orders.changed), orders.desired.clone())
            };
            let is_due = self.due <= clock::now();
            match desired.filter(|_| accepting) {
                Some(desired) => {
                    if changed {
                        self.change(&desired);
                    } else if is_due {
                        self.look(&desired);
                    }
                    // What was decided before the stop outlives it where the dataplane does.
                    while stop && !self.is_as_desired() {
                        self.look(&desired);
                        if self.look.is_none() {
                            break;
                        }
                    }
                }
                None if is_due => self.due = clock::now() + self.resync,
                None => {}
            }
            if changed || is_due {
                self.regulate.get_or_insert_with(clock::now);
            }
            if stop {
                accepting = false;
                self.dataplane.stop_accepting();
            }
            self.counters.serve(|| self.dataplane.counters());
            self.samples.serve(|| self.dataplane.sample());
            if self.regulate.is_some_and(|at| at <= clock::now()) {
                self.regulate = self.dataplane.regulate().map(|wait| clock::now() + wait);
            }
            self.tell();
        }
    }

    /// How long there is nothing to do unless somebody asks.
    fn rest(&self) -> Duration {
        if self.counters.are_none() && self.samples.are_none() {
            let next = self.regulate.map_or(self.due, |at| at.min(self.due));
            next.saturating_duration_since(clock::now()).min(LOOK)
        } else {
            Duration::ZERO
        }
    }

    fn is_as_desired(&self) -> bool {
        self.report == Some(Report::default())
    }

    /// Brings about what is desired otherwise than before, also in the middle of a look.
    fn change(&mut self, desired: &Table) {
        if self.look.is_none() && self.report.is_none() {
            return self.look(desired);
        }
        let observed = self.dataplane.observe_changed(desired);
        self.turns.fetch_add(1, Ordering::Relaxed);
        match observed {
            Ok(observed) => {
                let errors = match (&mut self.look, &mut self.report) {
                    (Some(errors), _) => errors,
                    (None, report) => &mut report.get_or_insert_default().errors,
                };
                if !apply(&mut *self.dataplane, &plan(desired, &observed), errors) {
                    self.due = self.due.min(clock::now() + self.backoff);
                }
            }
            Err(error) => self.unreadable(error),
        }
    }

    /// A piece of a look at the whole.
    fn look(&mut self, desired: &Table) {
        let mut errors = self.look.take().unwrap_or_default();
        let begin = clock::now();
        let observed = self.dataplane.observe(desired);
        self.turns.fetch_add(1, Ordering::Relaxed);
        match observed {
            Ok(Observed { table, is_last }) => {
                apply(&mut *self.dataplane, &plan(desired, &table), &mut errors);
                if is_last {
                    self.end_look(Report { errors, unreadable: None });
                } else {
                    self.look = Some(errors);
                    let now = clock::now();
                    // Drift is rare, and what else is to be done may need the same core.
                    self.due = if self.is_as_desired() { now + (now - begin) * PAUSE } else { now };
                }
            }
            Err(error) => self.unreadable(error),
        }
    }

    /// Nothing is known to have got better.
    fn unreadable(&mut self, error: Error) {
        let errors = self.report.take().unwrap_or_default().errors;
        self.end_look(Report { unreadable: Some(error), errors });
    }

    fn end_look(&mut self, report: Report) {
        self.look = None;
        self.report = Some(report);
        let wait = if self.is_as_desired() { self.resync } else { self.backoff.min(self.resync) };
        self.backoff = if self.is_as_desired() { BACKOFF_FIRST } else { self.backoff * 2 }.min(self.resync);
        self.due = clock::now() + wait;
    }

    /// A report without room is made again at the next turn.
    fn tell(&mut self) {
        if self.report == self.reported {
            return;
        }
        if let Some(report) = &self.report
            && self.reports.try_send((self.kind, report.clone())).is_ok()
        {
            self.reported = self.report.clone();
        }
    }
}

impl Askers {
    fn are_none(&self) -> bool {
        self.waiting.is_empty() && self.curious.is_empty()
    }

    /// Reads a piece for those who wait.
    fn serve(&mut self, read: impl FnOnce() -> Poll<Option<Counters>>) {
        if self.waiting.is_empty() {
            // Who has left by now is spared an answer, and the dataplane the question.
            self.waiting.extend(self.curious.drain(..).filter(|reply| !reply.is_closed()));
        }
        if self.waiting.is_empty() {
            return;
        }
        if let Poll::Ready(mut counters) = read() {
            while let Some(reply) = self.waiting.pop() {
                let answer = if self.waiting.is_empty() { counters.take() } else { counters.clone() };
                let _has_left = answer.map(|answer| reply.send(answer));
            }
        }
    }
}

/// Makes the changes and keeps in `errors` what is wrong then with the services that they are about; true if all could
/// be made.
fn apply(
    dataplane: &mut dyn Dataplane,
    changes: &[Change],
    errors: &mut BTreeMap<ServiceKey, Error>,
) -> bool {
    if changes.is_empty() {
        return true;
    }
    let results = dataplane.apply(changes);
    for change in changes {
        errors.remove(&change.key());
    }
    let failed =
        changes.iter().zip(results).filter_map(|(change, result)| Some((change.key(), result.err()?)));
    let before = errors.len();
    errors.extend(failed);
    errors.len() == before
}

/// Whoever asked may have left, and then the dataplane is spared the question.
fn answer<T>(reply: oneshot::Sender<T>, question: impl FnOnce() -> Option<T>) {
    if reply.is_closed() {
        return;
    }
    if let Some(answer) = question() {
        let (Ok(()) | Err(_)) = reply.send(answer);
    }
}

#[cfg(test)]
mod tests;
