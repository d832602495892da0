//! The loop that keeps a dataplane as desired: observe, plan, apply, and again.
//!
//! It has a thread of its own because a dataplane may block, and it is level-triggered: only the newest desired
//! table counts, and after an error, as well as every resync interval, the whole is compared again.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::config::DataplaneKind;

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
    desired: Arc<Mutex<Option<Arc<Table>>>>,
    requests: SyncSender<Request>,
    thread: Option<JoinHandle<()>>,
}

/// Asks for the dataplane's counters without holding up the event loop.
#[derive(Clone)]
pub struct CounterSource(SyncSender<Request>);

enum Request {
    Reconcile,
    Counters(oneshot::Sender<Counters>),
    StopAccepting,
    Active(oneshot::Sender<u64>),
    End,
}

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const QUEUE: usize = 64;

impl Reconciler {
    /// Starts the thread. Reports arrive when the set of errors changes; a report that the receiver has no room
    /// for is made again a round later.
    pub fn start(
        kind: DataplaneKind,
        dataplane: Box<dyn Dataplane>,
        resync: Duration,
        reports: mpsc::Sender<(DataplaneKind, Report)>,
    ) -> std::io::Result<Self> {
        let desired = Arc::new(Mutex::new(None));
        let (requests, queue) = sync_channel(QUEUE);
        let round =
            Round { kind, dataplane, resync, reports, desired: Arc::clone(&desired), reported: Report::default() };
        let thread = std::thread::Builder::new().name(kind.to_string()).spawn(move || round.run(&queue))?;
        Ok(Self { desired, requests, thread: Some(thread) })
    }

    /// From now on this is what should be.
    pub fn set_desired(&self, table: Arc<Table>) {
        *self.desired.lock().unwrap_or_else(PoisonError::into_inner) = Some(table);
        // A full queue is being worked on and so will come to the new table as well.
        match self.requests.try_send(Request::Reconcile) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// Another handle for counters only.
    pub fn counter_source(&self) -> CounterSource {
        CounterSource(self.requests.clone())
    }

    /// Takes no new connections from now on.
    pub async fn stop_accepting(&self) {
        send(&self.requests, Request::StopAccepting).await;
    }

    /// Connections that live; none when the thread has ended.
    pub async fn active(&self) -> Option<u64> {
        let (reply, answer) = oneshot::channel();
        send(&self.requests, Request::Active(reply)).await;
        answer.await.ok()
    }

    /// Is the thread still there? It ends only by a bug.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Reconciler {
    fn drop(&mut self) {
        // Others may hold on to a sender, so the queue does not close by itself.
        let _ended_already = self.requests.send(Request::End);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl CounterSource {
    /// The counters now; none when the dataplane does not answer in time.
    pub async fn read(&self, deadline: Duration) -> Option<Counters> {
        let (reply, answer) = oneshot::channel();
        let read = async {
            send(&self.0, Request::Counters(reply)).await;
            answer.await.ok()
        };
        tokio::time::timeout(deadline, read).await.ok().flatten()
    }
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
    desired: Arc<Mutex<Option<Arc<Table>>>>,
    reported: Report,
}

impl Round {
    fn run(mut self, queue: &Receiver<Request>) {
        let mut backoff = BACKOFF_FIRST;
        let mut due = clock::now() + self.resync;
        let mut accepting = true;
        loop {
            // Requests for counters must not put off the next comparison.
            match queue.recv_timeout(due.saturating_duration_since(clock::now())) {
                Ok(Request::Counters(reply)) => {
                    let _asker_left = reply.send(self.dataplane.counters());
                    continue;
                }
                Ok(Request::Active(reply)) => {
                    let _asker_left = reply.send(self.dataplane.active());
                    continue;
                }
                Ok(Request::StopAccepting) => {
                    accepting = false;
                    self.dataplane.stop_accepting();
                    continue;
                }
                Ok(Request::Reconcile) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Request::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
            let mut wait = self.resync;
            if accepting && self.reconcile() {
                backoff = BACKOFF_FIRST;
            } else if accepting {
                wait = backoff.min(self.resync);
                backoff = (backoff * 2).min(self.resync);
            }
            due = clock::now() + wait;
        }
    }

    /// One round; true when the dataplane is as desired.
    fn reconcile(&mut self) -> bool {
        let desired = self.desired.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(desired) = desired else { return true };
        let mut report = Report::default();
        match self.dataplane.observe(&desired) {
            Ok(observed) => report.errors = self.apply(&plan(&desired, &observed)),
            Err(error) => report.unreadable = Some(error),
        }
        let clean = report.errors.is_empty() && report.unreadable.is_none();
        if report != self.reported && self.reports.try_send((self.kind, report.clone())).is_ok() {
            self.reported = report;
        }
        clean
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

#[cfg(test)]
mod tests;
