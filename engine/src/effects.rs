//! What the engine decides.

use std::net::SocketAddr;
use std::sync::Arc;

/// What one input led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Effects {
    /// What an operator should read in the log, in order.
    pub events: Vec<Event>,
    /// Names of the virtual servers whose [`Desired`] is another one than before, each once, sorted.
    pub changed: Vec<Arc<str>>,
}

/// A decision with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A real server's health changed, or it is assumed up before the first outcome.
    Health {
        /// Name of the virtual server.
        virtual_server: Arc<str>,
        /// Key of the real server.
        real_server: SocketAddr,
        /// Healthy now, or assumed to be?
        healthy: bool,
        /// It stays in service all the same, because clients hear of it.
        kept: bool,
        /// Which check decided; empty when there is none.
        check: Arc<str>,
        /// Why, for people: `3 failures in a row, the last: refused`.
        reason: String,
    },
    /// A check has asked for another weight.
    Weight {
        /// Name of the virtual server.
        virtual_server: Arc<str>,
        /// Key of the real server.
        real_server: SocketAddr,
        /// Which check.
        check: Arc<str>,
        /// The weight until now.
        before: u32,
        /// The weight from now on, while the server is healthy.
        weight: u32,
    },
    /// A virtual server's quorum changed.
    Quorum {
        /// Name of the virtual server.
        virtual_server: Arc<str>,
        /// Held now?
        held: bool,
        /// W, the sum of the weights of healthy servers that are not drained.
        sum: u64,
        /// Q.
        quorum: u32,
        /// H.
        hysteresis: u32,
        /// The sorry server that takes over or steps back, if there is one.
        sorry_server: Option<SocketAddr>,
    },
    /// The overload protection did something about a real server.
    Overload {
        /// Name of the virtual server.
        virtual_server: Arc<str>,
        /// Key of the real server.
        real_server: SocketAddr,
        /// What, and why, for people.
        what: &'static str,
    },
    /// An operator's command was carried out.
    Operator {
        /// Name of the virtual server.
        virtual_server: Arc<str>,
        /// Key of the real server.
        real_server: SocketAddr,
        /// What changed, for people: `drained`, `weight 3 in place of 10`.
        what: String,
    },
}

/// What the dataplane should hold for one virtual server: a level, not an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The pool in ascending order of address and, while the quorum is lost, the sorry server at the end.
    pub destinations: Vec<Destination>,
}

/// One destination and its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// Where.
    pub address: SocketAddr,
    /// 0: no new connections.
    pub weight: u32,
    /// The most connections that it may have; none: any number.
    pub cap: Option<u32>,
    /// False when the checks say that the server is dead. A server that is drained, or of which nothing is
    /// known yet (unless it is assumed up), is alive with weight 0.
    pub alive: bool,
    /// False while the weight is what it is merely because servers have not been checked yet: a dataplane that has
    /// the destination from an earlier director may leave it as it is.
    pub decided: bool,
    /// A member of the pool or the sorry server.
    pub role: Role,
}

/// What a destination is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A member of the pool.
    RealServer,
    /// The stand-in while the quorum is lost.
    SorryServer,
}
