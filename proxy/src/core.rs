//! What every part of one thread needs: its epoll, the time of this turn, its buffer, and what all threads
//! share.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use crate::cells::{Cell, PerThread};
use crate::clock::{Clock, Millis};
use crate::pipe::Pipes;
use crate::token::{Serial, Token};

/// One read takes this much at most; whoever fills it is sending bulk.
pub(crate) const BUFFER: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) open: PerThread<OpenCells>,
    pub(crate) limit: AtomicU64,
    /// The most pipes of one thread.
    pub(crate) pipes: usize,
}

#[derive(Debug, Default)]
pub(crate) struct OpenCells {
    pub(crate) connections: Cell,
    pub(crate) sessions: Cell,
}

impl Shared {
    pub(crate) fn connections(&self) -> u64 {
        self.open.sum(|cells| &cells.connections)
    }

    pub(crate) fn sessions(&self) -> u64 {
        self.open.sum(|cells| &cells.sessions)
    }

    /// Connections and sessions.
    pub(crate) fn open(&self) -> u64 {
        self.connections() + self.sessions()
    }
}

pub(crate) struct Core {
    pub(crate) thread: usize,
    pub(crate) epoll: OwnedFd,
    pub(crate) now: Millis,
    pub(crate) buffer: Box<[u8]>,
    pub(crate) pipes: Pipes,
    pub(crate) serial: Serial,
    pub(crate) shared: Arc<Shared>,
}

impl Core {
    pub(crate) fn new(thread: usize, shared: Arc<Shared>) -> Result<Core, Errno> {
        Ok(Core {
            thread,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            now: shared.clock.now(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            pipes: Pipes::new(shared.pipes),
            serial: Serial::default(),
            shared,
        })
    }

    pub(crate) fn register(&self, source: impl AsFd, token: Token, flags: EventFlags) -> Result<(), Errno> {
        epoll::add(&self.epoll, source, EventData::new_u64(token.pack()), flags)
    }

    /// Whether one more may be opened. The threads do not wait for each other here, so the limit can be
    /// exceeded by one for each other thread; the reserve of descriptors has room for that.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.open() < self.shared.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn open(&self) -> &OpenCells {
        self.shared.open.of(self.thread)
    }
}

impl Drop for Core {
    /// A thread that panicked must not leave its connections in the count.
    fn drop(&mut self) {
        self.open().connections.clear();
        self.open().sessions.clear();
    }
}

/// Errors that say something of this process or host, not of the destination.
pub(crate) fn is_ours(error: Errno) -> bool {
    is_exhausted(error) || matches!(error, Errno::ADDRNOTAVAIL | Errno::PERM | Errno::ACCESS | Errno::AGAIN)
}

/// Nothing can be opened at the moment, whatever the destination.
pub(crate) fn is_exhausted(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC)
}
