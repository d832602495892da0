//! The loop that keeps a dataplane as desired: observe, plan, apply, and again.
//!
//! It has a thread of its own because a dataplane may block, and it is level-triggered: only the newest desired
//! table counts, and after an error, as well as every resync interval, the whole is compared again. In between a
//! dataplane may look only at what is desired otherwise than before.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::config::DataplaneKind;
use crate::{clock, threads};

use super::{Change, Counters, Dataplane, Error, ServiceKey, Table, plan};

/// What came of a round in which the errors became other ones.
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
    Active(oneshot::Sender<u64>),
}

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const QUEUE: usize = 64;
// How often the thread looks whether all of the dataplane is still there.
const LOOK: Duration = Duration::from_secs(1);
// A dataplane that hangs does not keep the process from ending.
const END: Duration = Duration::from_secs(5);

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
            reported: None,
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
    /// None before the first round.
    reported: Option<Report>,
}

impl Round {
    /// Until it is told to end, or the dataplane has lost a part.
    fn run(mut self, queue: &Receiver<Request>) {
        let mut backoff = BACKOFF_FIRST;
        // When the whole is to be compared again.
        let mut due = clock::now() + self.resync;
        let mut is_as_desired = false;
        let mut accepting = true;
        while self.dataplane.is_whole() {
            self.turns.fetch_add(1, Ordering::Relaxed);
            let wait = due.saturating_duration_since(clock::now()).min(LOOK);
            match queue.recv_timeout(wait) {
                Ok(Request::Counters(reply)) => answer(reply, || self.dataplane.counters()),
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
            if stop {
                // What was decided before the stop outlives it where the dataplane does.
                if let Some(desired) = desired.as_ref().filter(|_| accepting && (changed || !is_as_desired)) {
                    self.reconcile(desired, true);
                }
                accepting = false;
                self.dataplane.stop_accepting();
            }
            let is_due = clock::now() >= due;
            if !changed && !is_due {
                continue;
            }
            let whole = is_due || !is_as_desired;
            is_as_desired = match desired {
                Some(desired) if accepting => self.reconcile(&desired, whole),
                _ => true,
            };
            if is_as_desired && !whole {
                continue;
            }
            let wait = if is_as_desired { self.resync } else { backoff.min(self.resync) };
            backoff = if is_as_desired { BACKOFF_FIRST } else { (backoff * 2).min(self.resync) };
            due = clock::now() + wait;
        }
    }

    /// One round, over the whole table or what has changed in it; true when the dataplane is as desired and the
    /// event loop knows.
    fn reconcile(&mut self, desired: &Table, whole: bool) -> bool {
        let mut report = Report::default();
        let observed =
            if whole { self.dataplane.observe(desired) } else { self.dataplane.observe_changed(desired) };
        self.turns.fetch_add(1, Ordering::Relaxed);
        match observed {
            Ok(observed) => report.errors = self.apply(&plan(desired, &observed)),
            // Nothing is known to have got better.
            Err(error) => {
                let errors = self.reported.clone().unwrap_or_default().errors;
                report = Report { unreadable: Some(error), errors };
            }
        }
        let clean = report.errors.is_empty() && report.unreadable.is_none();
        if self.reported.as_ref() == Some(&report) {
            return clean;
        }
        let told = self.reports.try_send((self.kind, report.clone())).is_ok();
        if told {
            self.reported = Some(report);
        }
        clean && told
    }

    fn apply(&mut self, changes: &[Change]) -> BTreeMap<ServiceKey, Error> {
        if changes.is_empty() {
            return BTreeMap::new();
        }
        let results = self.dataplane.apply(changes);
        let failed =
            changes.iter().zip(results).filter_map(|(change, result)| Some((change.key(), result.err()?)));
        failed.collect()
    }
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
