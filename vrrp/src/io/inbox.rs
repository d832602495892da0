//! What is told to VRRP's thread.

use std::io;
use std::mem;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::oneshot;

use super::Snapshot;
use super::socket::Line;
use crate::Tracked;
use crate::config::{Config, Family};

/// The state of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub interface: Arc<str>,
    /// Its index; 0: there is no such interface. Another one than before is another interface.
    pub index: u32,
    /// It is up and has a carrier.
    pub up: bool,
    /// Its own addresses, as in [`crate::Input::Link`].
    pub sources: Vec<IpAddr>,
}

/// Where things are told to VRRP's thread, in order. Clones are the same inbox.
///
/// Telling takes a lock for a moment, the thread never waits for it: what it cannot take now it takes when it is woken.
#[derive(Clone)]
pub struct Inbox(Arc<Shared>);

struct Shared {
    /// None: nobody is there any more.
    waiting: Mutex<Option<Vec<Told>>>,
    wake: OwnedFd,
}

/// What can be told.
pub(super) enum Told {
    Link(Link),
    Device { router: Arc<str>, index: u32 },
    Listener { interface: Arc<str>, index: NonZeroU32, family: Family, outcome: io::Result<Line> },
    Reload(Config),
    Track { key: Arc<str>, state: Tracked },
    Failover { name: Arc<str>, reply: oneshot::Sender<Result<(), String>> },
    Status(oneshot::Sender<Arc<Snapshot>>),
    Stop(oneshot::Sender<Result<(), String>>),
    Quit,
}

impl Inbox {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self(Arc::new(Shared { waiting: Mutex::new(Some(Vec::new())), wake })))
    }

    /// The state of a router's interface, at first and when it has changed. Until it is told, there is no such
    /// interface.
    pub fn link(&self, link: Link) {
        self.tell(Told::Link(link));
    }

    /// The router's adverts leave by the device with this index from now on, which is a macvlan on its interface;
    /// 0: by the interface itself, as at first. They are sent from the interface's addresses and heard on the
    /// interface in any case.
    ///
    /// The macvlan has to be one of mode bridge: with mode private the kernel hands over adverts from the same virtual
    /// MAC address, which are the other director's, to the macvlan only, as if it had sent them itself.
    pub fn device(&self, router: Arc<str>, index: u32) {
        self.tell(Told::Device { router, index });
    }

    pub(super) fn tell(&self, told: Told) {
        match &mut *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(waiting) => waiting.push(told),
            // Whoever waits for an answer learns by this that there will be none.
            None => drop(told),
        }
        // Fails only where it has been written 2^64 - 2 times since it was read.
        let _full = rustix::io::write(&self.0.wake, &1_u64.to_ne_bytes());
    }

    /// Takes what has been told into an empty `batch`. To be called when the descriptor is readable.
    pub(super) fn take(&self, batch: &mut Vec<Told>) {
        let mut count = [0; 8];
        let _nothing = rustix::io::read(&self.0.wake, &mut count);
        let mut waiting = match self.0.waiting.try_lock() {
            Ok(waiting) => waiting,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Whoever holds it is about to wake us.
            Err(TryLockError::WouldBlock) => return,
        };
        if let Some(waiting) = &mut *waiting {
            mem::swap(waiting, batch);
        }
    }

    /// Drops everything that is told from now on, and what was not taken.
    pub(super) fn close(&self) {
        *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.wake.as_fd()
    }
}

#[cfg(test)]
mod tests;
