//! What a keeper tells the daemon.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc::Sender;

/// Something that an operator should know. `what` is as in "address 192.0.2.10/24 on eth0".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// What is held was gone, and has been put back.
    PutBack {
        /// Whose.
        router: Arc<str>,
        /// What.
        what: String,
    },
    /// What is not held was there, and has been taken off.
    TakenOff {
        /// Who would hold it.
        router: Arc<str>,
        /// What.
        what: String,
    },
    /// Something could not be done. It is tried again; said once.
    Failed {
        /// Whose.
        router: Arc<str>,
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// What could not be done is done.
    Mended {
        /// Whose.
        router: Arc<str>,
        /// What.
        what: String,
    },
    /// The guard has died or cannot be started: a death of this process leaves everything where it is. Another guard
    /// is started.
    Unguarded {
        /// Why.
        why: String,
    },
    /// A guard is there again.
    Guarded,
    /// The kernel's notices cannot be read, or this process may not do something that it should.
    Trouble {
        /// What, and why.
        what: String,
    },
}

/// Where reports go. Nothing waits for their reader.
#[derive(Clone)]
pub(super) struct Reports(pub(super) Sender<Report>);

impl Reports {
    pub(super) fn send(&self, report: Report) {
        let _full_or_closed = self.0.try_send(report);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PutBack { router, what } => write!(f, "{router}: {what} was gone and has been put back"),
            Self::TakenOff { router, what } => {
                write!(f, "{router}: {what} was there though it is not held, and has been taken off")
            }
            Self::Failed { router, what, why } => write!(f, "{router}: {what}: {why}; will be tried again"),
            Self::Mended { router, what } => write!(f, "{router}: {what}: done now"),
            Self::Unguarded { why } => {
                write!(
                    f,
                    "nothing would take the addresses off if this process died: {why}; will be tried again"
                )
            }
            Self::Guarded => f.write_str("a guard takes the addresses off if this process dies"),
            Self::Trouble { what } => f.write_str(what),
        }
    }
}
