//! What happens to the engine.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::advice::Advice;
use crate::overload::Traffic;

/// Names one probe: one question to one target with one timing.
///
/// An id is never given to another probe. When the question or the timing changes on a reload the probe gets a
/// new id, so the answer to the old question finds nobody and is dropped: the id is its own generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// One thing that happened. What an operator wishes is a [`Command`], which can be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A check has ended.
    Observation(Observation),
    /// A dataplane has counted.
    Traffic(Traffic),
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
    /// What weight the server should have, if it passed and the check says so; it holds until the next pass.
    pub advice: Option<Advice>,
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

impl OutcomeKind {
    /// Whether it speaks against the server.
    pub fn is_failure(self) -> bool {
        !matches!(self, OutcomeKind::Passed | OutcomeKind::NotRun)
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OutcomeKind::Passed => "passed",
            OutcomeKind::Refused => "connection refused",
            OutcomeKind::Reset => "connection reset",
            OutcomeKind::ConnectTimeout => "timed out in connect",
            OutcomeKind::AnswerTimeout => "timed out in answer",
            OutcomeKind::Unreachable => "unreachable",
            OutcomeKind::Tls => "TLS failed",
            OutcomeKind::WrongAnswer => "wrong answer",
            OutcomeKind::NotRun => "not run",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Told(self.kind, &self.detail).fmt(f)
    }
}

/// What came of a check, with its detail, in words.
pub(crate) struct Told<'a>(pub(crate) OutcomeKind, pub(crate) &'a str);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told(kind, "") => kind.fmt(f),
            Told(kind, detail) => write!(f, "{kind}: {detail}"),
        }
    }
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
    /// Use this weight in place of the configured one. A drained server stays drained.
    Weight {
        /// Name of the virtual server.
        virtual_server: Arc<str>,
        /// Key of the real server.
        real_server: SocketAddr,
        /// The weight, 0 to 65,535.
        weight: u32,
    },
}

impl Command {
    /// The virtual server and the real server that it is about.
    pub fn target(&self) -> (&Arc<str>, SocketAddr) {
        let (Command::Drain { virtual_server, real_server }
        | Command::Enable { virtual_server, real_server }
        | Command::Weight { virtual_server, real_server, .. }) = self;
        (virtual_server, *real_server)
    }
}
