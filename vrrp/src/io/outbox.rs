//! What VRRP's thread has others do: whatever may wait.
//!
//! To wake a task takes a lock of its runtime, and to join or leave a multicast group takes one of the kernel's; both
//! may be held for long on a busy host. So a clerk, a thread of ordinary priority, does such things.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use rtrb::{Consumer, Producer, RingBuffer};
use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::{mpsc, oneshot};

use super::inbox::{Inbox, Told};
use super::socket::Line;
use super::{Event, Snapshot};
use crate::config::Family;

/// Errands that wait for the clerk, and events that wait for the daemon.
const WAITING: usize = 1024;

/// Something to be done by the clerk.
pub(super) enum Errand {
    Tell(Event),
    Listen { interface: Arc<str>, index: NonZeroU32, family: Family },
    Close(Line),
    Report(Vec<oneshot::Sender<Arc<Snapshot>>>, Snapshot),
    Reply(oneshot::Sender<Result<(), String>>, Result<(), String>),
}

/// The thread's end.
pub(super) struct Outbox {
    errands: Producer<Errand>,
    lost: Arc<AtomicU64>,
    // Dropped, and so rung, after the producer.
    bell: Bell,
}

/// Wakes the clerk, also when it is dropped.
struct Bell(Arc<OwnedFd>);

impl Bell {
    fn ring(&self) {
        // Would wait only where it has been rung 2^64 - 2 times since it was heard.
        let _rung = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.ring();
    }
}

impl Outbox {
    /// Whether there was room; otherwise it is lost.
    pub(super) fn put(&mut self, errand: Errand) -> bool {
        let room = self.errands.push(errand).is_ok();
        if !room {
            self.lost.fetch_add(1, Relaxed);
        }
        self.bell.ring();
        room
    }

    /// How many errands and events were lost because nobody took them.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

struct Clerk {
    errands: Consumer<Errand>,
    wake: Arc<OwnedFd>,
    events: mpsc::Sender<Event>,
    inbox: Inbox,
    lost: Arc<AtomicU64>,
}

/// Starts a clerk, who ends when the outbox is dropped.
pub(super) fn start(inbox: Inbox) -> io::Result<(Outbox, mpsc::Receiver<Event>)> {
    let (producer, consumer) = RingBuffer::new(WAITING);
    let (events, receiver) = mpsc::channel(WAITING);
    let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
    let lost = Arc::new(AtomicU64::new(0));
    let clerk = Clerk { errands: consumer, wake: wake.clone(), events, inbox, lost: lost.clone() };
    thread::Builder::new().name("vrrp-clerk".to_owned()).spawn(|| clerk.run())?;
    Ok((Outbox { errands: producer, lost, bell: Bell(wake) }, receiver))
}

impl Clerk {
    fn run(mut self) {
        loop {
            let ended = self.errands.is_abandoned();
            while let Ok(errand) = self.errands.pop() {
                self.run_errand(errand);
            }
            if ended {
                return;
            }
            let _count = rustix::io::read(&self.wake, &mut [0; 8]);
        }
    }

    fn run_errand(&self, errand: Errand) {
        match errand {
            Errand::Tell(event) => {
                if self.events.try_send(event).is_err() {
                    self.lost.fetch_add(1, Relaxed);
                }
            }
            Errand::Listen { interface, index, family } => {
                let outcome = Line::open(family, index);
                self.inbox.tell(Told::Listener { interface, index, family, outcome });
            }
            Errand::Close(line) => drop(line),
            // Who asked may have gone.
            Errand::Report(to, snapshot) => {
                let snapshot = Arc::new(snapshot);
                to.into_iter().for_each(|to| drop(to.send(Arc::clone(&snapshot))));
            }
            Errand::Reply(to, outcome) => drop(to.send(outcome)),
        }
    }
}

#[cfg(test)]
mod tests;
