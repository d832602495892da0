//! A thread that runs when it is due, whatever else the host is busy with.

use std::fmt;

use rustix::io::Errno;
use rustix::process::setpriority_process;

use super::memory;

/// Above everything of ordinary priority and below the kernel's interrupt threads.
pub(super) const FOREMOST: i32 = 50;

/// What a thread was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduling {
    /// Whose turn it is.
    pub class: Class,
    /// Why the memory of the process is not locked, so that the thread may have to wait for a disk.
    pub unlocked: Option<Errno>,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// SCHED_FIFO: at once.
    Realtime,
    /// Nice -20 because SCHED_FIFO was refused: mostly within some milliseconds.
    Favoured(Errno),
    /// Neither was allowed: like any other thread.
    Ordinary(Errno),
}

impl Scheduling {
    /// Everything was given.
    pub fn is_full(&self) -> bool {
        self.class == Class::Realtime && self.unlocked.is_none()
    }
}

impl fmt::Display for Scheduling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class {
            Class::Realtime => write!(f, "realtime")?,
            Class::Favoured(errno) => write!(f, "nice -20, not realtime (CAP_SYS_NICE: {errno})")?,
            Class::Ordinary(errno) => write!(f, "ordinary, not realtime (CAP_SYS_NICE: {errno})")?,
        }
        match self.unlocked {
            None => write!(f, ", memory locked"),
            Some(errno) => write!(f, ", memory not locked (CAP_IPC_LOCK: {errno})"),
        }
    }
}

/// Gives the calling thread what it may have, at a priority of at most [`FOREMOST`].
pub(super) fn claim(priority: i32) -> Scheduling {
    let class = match set_fifo(priority) {
        Ok(()) => Class::Realtime,
        Err(errno) => match setpriority_process(None, -20) {
            Ok(()) => Class::Favoured(errno),
            Err(_) => Class::Ordinary(errno),
        },
    };
    Scheduling { class, unlocked: memory::lock().err() }
}

fn set_fifo(priority: i32) -> Result<(), Errno> {
    let parameters = nix::libc::sched_param { sched_priority: priority };
    // What the thread starts is ordinary.
    let policy = nix::libc::SCHED_FIFO | nix::libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 is the calling thread, and the kernel only reads the parameters (sched_setscheduler(2)).
    #[allow(unsafe_code)]
    let result = unsafe { nix::libc::sched_setscheduler(0, policy, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(nix::errno::Errno::last_raw())) }
}
