//! What VRRP's thread has to say.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::realtime::Scheduling;
use crate::Transition;
use crate::config::Family;

/// Something that has happened.
#[derive(Debug)]
pub enum Event {
    /// The thread runs, with what it was given.
    Started(Scheduling),
    /// A router has changed its state.
    Changed(Transition),
    /// An advert could not be sent there. This is told once until it works again.
    SendFailed {
        /// Whose.
        router: Arc<str>,
        /// Where.
        destination: IpAddr,
        /// Why.
        error: io::Error,
    },
    /// Adverts can be sent there again.
    SendRecovered {
        /// Whose.
        router: Arc<str>,
        /// Where.
        destination: IpAddr,
        /// How many could not.
        failed: u64,
    },
    /// Adverts of a family cannot be heard on an interface; for its routers it is down. It is tried again
    /// every second, and told once until it works again.
    ListenFailed {
        /// Where.
        interface: Arc<str>,
        /// Of which.
        family: Family,
        /// Why.
        error: io::Error,
    },
    /// An advert left later than the next one was due. This is told at most once a minute.
    Late {
        /// Whose.
        router: Arc<str>,
        /// By how much.
        by: Duration,
    },
}
