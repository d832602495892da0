//! Checks that come by the thousand, TCP, half-open and HTTP/1 in clear text, on threads of their own.
//!
//! Each thread has its share of the probes and does everything for them: it keeps their schedule, opens the
//! connections and waits for all of them at once with epoll. So a check costs its system calls and little else, and
//! nothing that the runtime does can delay it.
//!
//! ```text
//!   Lean ──probes, the latest set──► Thread ──batches of observations──► receiver
//!    └─────wakes it (eventfd)───────►   ├─ Schedule: when
//!                                       ├─ Connection: what the next event of a socket means
//!                                       ├─ HalfOpen: one raw socket for all
//!                                       └─ Outbox: what has been observed
//! ```

mod connection;
mod outbox;
mod thread;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::mpsc;

use self::thread::Thread;
use crate::probe::Probes;
use crate::schedule::Stats;
use crate::{Observation, Probe, Settings, Spec, http};

/// One thread, started for its first probe. It ends when this is dropped, and all of its checks with it.
#[derive(Debug)]
pub(crate) struct Lean {
    share: Share,
    settings: Settings,
    observations: mpsc::Sender<Vec<Observation>>,
    started: OnceLock<io::Result<Started>>,
}

#[derive(Debug)]
struct Started {
    /// None once it is to end.
    updates: Option<Sender<Probes>>,
    wake: Arc<OwnedFd>,
    stats: Arc<Mutex<Stats>>,
    thread: JoinHandle<()>,
}

/// Which probes a thread has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Share {
    /// Those that connect: of `threads`, this one from 0.
    Connecting { thread: usize, threads: usize },
    /// All that are half-open, which have no descriptors. They are all one thread's, since each raw socket costs a little of every TCP segment
    /// that comes to this host.
    HalfOpen,
}

impl Lean {
    pub(crate) fn new(
        share: Share,
        settings: Settings,
        observations: mpsc::Sender<Vec<Observation>>,
    ) -> Self {
        Self { share, settings, observations, started: OnceLock::new() }
    }

    /// All probes; the thread takes its share of them.
    pub(crate) fn update(&self, probes: &Probes) {
        if self.started.get().is_none() && !probes.iter().any(|probe| self.share.has(probe)) {
            return;
        }
        if let Ok(started) = self.started.get_or_init(|| self.start())
            && let Some(updates) = &started.updates
        {
            // Fails when the thread has died, which is a fault.
            let _ = updates.send(Arc::clone(probes));
            started.wake();
        }
    }

    /// Why its checks do not run, if so.
    pub(crate) fn fault(&self) -> Option<String> {
        match self.started.get()? {
            Ok(started) => {
                started.thread.is_finished().then(|| "a thread of the checks has ended".to_owned())
            }
            Err(error) => Some(format!("cannot start a thread for checks: {error}")),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let Some(Ok(started)) = self.started.get() else { return Stats::default() };
        *started.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> io::Result<Started> {
        let (updates, inbox) = std::sync::mpsc::channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let stats = Arc::default();
        let (observations, shared) = (self.observations.clone(), (Arc::clone(&wake), Arc::clone(&stats)));
        let thread = Thread::new(self.share, self.settings, inbox, shared, observations)?;
        let name = match self.share {
            Share::Connecting { thread, .. } => format!("checks-{thread}"),
            Share::HalfOpen => "checks-half-open".to_owned(),
        };
        let thread = std::thread::Builder::new().name(name).spawn(|| thread.run())?;
        Ok(Started { updates: Some(updates), wake, stats, thread })
    }
}

impl Started {
    fn wake(&self) {
        // Fails when it would overflow: then the thread has been woken often enough.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.updates = None;
        self.wake();
    }
}

impl Share {
    pub(crate) fn has(self, probe: &Probe) -> bool {
        match self {
            Self::Connecting { thread, threads } => {
                connects(&probe.spec) && probe.id % threads as u64 == thread as u64
            }
            Self::HalfOpen => matches!(*probe.spec, Spec::TcpHalfOpen),
        }
    }
}

/// Whether checks of this kind run on these threads.
pub(crate) fn does(spec: &Spec) -> bool {
    connects(spec) || matches!(spec, Spec::TcpHalfOpen)
}

/// How many of `max_concurrent` belong to so many of the probes that have descriptors.
pub(crate) fn part(max_concurrent: usize, of: usize, probes: &Probes) -> usize {
    let all = probes.iter().filter(|probe| !matches!(*probe.spec, Spec::TcpHalfOpen)).count();
    max_concurrent.saturating_mul(of) / all.max(1)
}

fn connects(spec: &Spec) -> bool {
    match spec {
        Spec::Tcp => true,
        Spec::Http(spec) => http::plain::is_plain(spec),
        _ => false,
    }
}
