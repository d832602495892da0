//! What happens to the engine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Names one probe: one question to one target with one timing.
///
/// An id is never given to another probe. When the question or the timing changes on a reload the probe gets a
/// new id, so the answer to the old question finds nobody and is dropped: the id is its own generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A check has ended.
    Observation(Observation),
    /// An operator has spoken.
    Command(Command),
    /// Nothing but time has passed; sent when [`Engine::deadline`](crate::Engine::deadline) is reached.
    Tick,
}

/// The result of one probe. Several virtual servers may be interested in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Which probe.
    pub probe: ProbeId,
    /// What came of it.
    pub outcome: Outcome,
    /// From the start of the check to its end.
    pub latency: Duration,
}

/// What came of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The class, for decisions.
    pub kind: OutcomeKind,
    /// The details, for people; empty when the kind says it all.
    pub detail: Arc<str>,
}

/// Classes of outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutcomeKind {
    /// The server answered as it should.
    Passed,
    /// The connection was refused.
    Refused,
    /// The connection was reset.
    Reset,
    /// No connection within the deadline.
    ConnectTimeout,
    /// A connection, but no complete answer within the deadline.
    AnswerTimeout,
    /// The network said that the server cannot be reached.
    Unreachable,
    /// TLS could not be agreed on or the certificate is not acceptable.
    Tls,
    /// An answer, but not the expected one.
    WrongAnswer,
    /// The check could not be run for a reason of our own: it says nothing about the server.
    NotRun,
}

/// An operator's wish. It outlives a reload; a restart forgets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// No new connections; those that live go on.
    Drain {
        /// Name of the virtual server.
        virtual_server: Arc<str>,
        /// Key of the real server.
        real_server: SocketAddr,
    },
    /// Take back a drain and a weight set by hand.
    Enable {
        /// Name of the virtual server.
        virtual_server: Arc<str>,
        /// Key of the real server.
        real_server: SocketAddr,
    },
    /// Use this weight in place of the configured one.
    Weight {
        /// Name of the virtual server.
        virtual_server: Arc<str>,
        /// Key of the real server.
        real_server: SocketAddr,
        /// The weight, 0 to 65,535.
        weight: u32,
    },
}
