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
//!                                       ├─ HalfOpen: a raw socket for all from one source
//!                                       └─ Outbox: what has been observed
//! ```

mod connection;
mod idle;
mod outbox;
mod thread;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::mpsc;

use self::thread::Thread;
use crate::probe::Probes;
use crate::schedule::Stats;
use crate::{Observation, Probe, Settings, Spec, http};

/// Checks a second that keep a thread busy for a third of the time.
const EACH: f64 = 8_000.0;

/// One thread, started for its first probe. It ends when this is dropped, and all of its checks with it.
#[derive(Debug)]
pub(crate) struct Lean {
    share: Share,
    settings: Settings,
    observations: mpsc::Sender<Vec<Observation>>,
    started: OnceLock<Started>,
    /// What the system has given no thread for yet.
    missing: Mutex<Option<(Probes, usize)>>,
}

#[derive(Debug)]
struct Started {
    /// None once it is to end.
    updates: Option<Sender<(Probes, usize)>>,
    wake: Arc<OwnedFd>,
    stats: Arc<Mutex<Stats>>,
    thread: JoinHandle<()>,
}

/// Which probes a thread has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Share {
    /// Those that connect, of the thread with this number from 0.
    Connecting(usize),
    /// All that are half-open, which have no descriptors. They are all one thread's, since each raw socket costs a little
    /// of every TCP segment that comes to its address.
    HalfOpen,
}

impl Lean {
    pub(crate) fn new(
        share: Share,
        settings: Settings,
        observations: mpsc::Sender<Vec<Observation>>,
    ) -> Self {
        Self { share, settings, observations, started: OnceLock::new(), missing: Mutex::default() }
    }

    /// All probes, which are for so many threads that connect; this one takes its share of them. When the number changes,
    /// some probes begin anew on another thread.
    pub(crate) fn update(&self, probes: &Probes, threads: usize) {
        if let Some(started) = self.started.get() {
            started.update(probes, threads);
            return;
        }
        let is_needed = probes.iter().any(|probe| self.share.has(probe, threads));
        *self.missing() = is_needed.then(|| (Arc::clone(probes), threads));
        // Whoever wants to know tries again.
        let _ = self.start_missing();
    }

    /// Starts the thread if it is needed and not there; why there is none, if so.
    pub(crate) fn start_missing(&self) -> Option<String> {
        let mut missing = self.missing();
        let (probes, threads) = missing.as_ref()?;
        match self.start() {
            Ok(started) => {
                started.update(probes, *threads);
                let _ = self.started.set(started);
                *missing = None;
                None
            }
            Err(error) => Some(format!("cannot start a thread for checks: {error}")),
        }
    }

    /// Why its checks do not run and never will, if so.
    pub(crate) fn fault(&self) -> Option<String> {
        let ended = self.started.get()?.thread.is_finished();
        ended.then(|| "a thread of the checks has ended".to_owned())
    }

    pub(crate) fn stats(&self) -> Stats {
        let Some(started) = self.started.get() else { return Stats::default() };
        *started.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self) -> MutexGuard<'_, Option<(Probes, usize)>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> io::Result<Started> {
        let (updates, inbox) = std::sync::mpsc::channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let stats = Arc::default();
        let (observations, shared) = (self.observations.clone(), (Arc::clone(&wake), Arc::clone(&stats)));
        let thread = Thread::new(self.share, self.settings, inbox, shared, observations)?;
        let name = match self.share {
            Share::Connecting(thread) => format!("checks-{thread}"),
            Share::HalfOpen => "checks-half-open".to_owned(),
        };
        let thread = std::thread::Builder::new().name(name).spawn(|| thread.run())?;
        Ok(Started { updates: Some(updates), wake, stats, thread })
    }
}

impl Started {
    fn update(&self, probes: &Probes, threads: usize) {
        if let Some(updates) = &self.updates {
            // Fails when the thread has died, which is a fault.
            let _ = updates.send((Arc::clone(probes), threads));
            self.wake();
        }
    }

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
    pub(crate) fn has(self, probe: &Probe, threads: usize) -> bool {
        match self {
            Self::Connecting(thread) => connects(&probe.spec) && probe.id % threads as u64 == thread as u64,
            Self::HalfOpen => matches!(*probe.spec, Spec::TcpHalfOpen),
        }
    }
}

/// Whether checks of this kind run on these threads.
pub(crate) fn does(spec: &Spec) -> bool {
    connects(spec) || matches!(spec, Spec::TcpHalfOpen)
}

/// How many threads are to connect, at most `most`: the fewer they are, the more checks begin and end together, which
/// saves a fifth of their cost.
pub(crate) fn threads(probes: &Probes, most: usize) -> usize {
    let connecting = probes.iter().filter(|probe| connects(&probe.spec));
    let rate: f64 = connecting.map(|probe| probe.interval.as_secs_f64().recip()).sum();
    ((rate / EACH).ceil() as usize).clamp(1, most.max(1))
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::Target;

    fn probes(count: u64, spec: Spec, interval: Duration) -> Probes {
        let target = Target { address: (Ipv4Addr::LOCALHOST, 80).into(), bind: None, fwmark: None };
        let spec = Arc::new(spec);
        let probe = |id| Arc::new(Probe { id, target, spec: Arc::clone(&spec), interval, timeout: interval });
        Arc::new((1..=count).map(probe).collect())
    }

    #[test]
    fn as_many_threads_as_are_needed() {
        let second = Duration::from_secs(1);
        for (count, interval, expected) in [
            (0, second, 1),
            (8_000, second, 1),
            (8_001, second, 2),
            (900, second / 10, 2),
            (90_000, second, 4),
        ] {
            assert_eq!(
                threads(&probes(count, Spec::Tcp, interval), 4),
                expected,
                "{count} every {interval:?}"
            );
        }
        assert_eq!(threads(&probes(90_000, Spec::TcpHalfOpen, second), 4), 1);
    }

    #[test]
    fn every_probe_is_one_threads() {
        let second = Duration::from_secs(1);
        for spec in [Spec::Tcp, Spec::TcpHalfOpen] {
            for probe in &*probes(100, spec, second) {
                let shares = (0..4).map(Share::Connecting).chain([Share::HalfOpen]);
                assert_eq!(shares.filter(|share| share.has(probe, 3)).count(), 1);
            }
        }
    }
}
