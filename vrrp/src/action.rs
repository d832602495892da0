//! What a machine asks for.

use std::sync::Arc;

use crate::config::Router;
use crate::packet::Advert;

/// Something to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send an advert to the router's peers.
    Advertise {
        /// Whose.
        router: Arc<Router>,
        /// What it says.
        advert: Advert,
    },
    /// The addresses of the router belong on this director from now on; also when what is to be held has changed.
    Hold {
        /// Whose.
        router: Arc<Router>,
    },
    /// Announce the addresses, once they are there.
    Announce {
        /// Whose.
        router: Arc<Router>,
    },
    /// The addresses do not belong on this director any more.
    Release {
        /// Whose.
        router: Arc<Router>,
    },
    /// Tell everybody.
    Changed(Transition),
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Whose.
    pub router: Arc<str>,
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// Why.
    pub reason: Reason,
}

/// The states of RFC 9568 §6.4, and one of ours.
///
/// ```text
///              link up, no fault                 active down timer
///   Initialize ─────────────────► Backup ───────────────────────────► Active
///       ▲                          ▲  ▲  advert with higher priority    │
///       │ fault, link down         │  └─────────────────────────────────┤
///       │                          │                                    │ stop, switch-over, fault
///       └──────────────────────────┴── Resigning ◄──────────────────────┘
///                       successor heard, or the active down interval is over
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Takes no part.
    Initialize,
    /// Waits for the Active one to fall silent.
    Backup,
    /// Holds the addresses.
    Active,
    /// Has resigned with priority 0, but goes on holding the addresses until its successor is heard.
    Resigning,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Initialize => "initialize",
            Self::Backup => "backup",
            Self::Active => "active",
            Self::Resigning => "resigning",
        })
    }
}

/// Why a state changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Everything that is needed is there.
    Ready,
    /// This router owns the addresses.
    Owner,
    /// Nothing was heard for the active down interval, or the skew time after a resignation.
    Silence,
    /// An advert that outranks this router came.
    Outranked {
        /// From whom.
        by: std::net::IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// The successor was heard after a resignation.
    Succeeded {
        /// From whom.
        by: std::net::IpAddr,
    },
    /// Nobody took over after a resignation.
    NoSuccessor,
    /// An operator's order.
    Failover,
    /// The interface is down or has no address to send from.
    Link,
    /// Something tracked is down.
    Fault {
        /// What.
        track: Arc<str>,
    },
    /// Another router of the group changed.
    Group {
        /// Which.
        router: Arc<str>,
    },
    /// This thread was stopped for longer than the others waited.
    Stalled {
        /// For how long.
        gap: std::time::Duration,
    },
    /// The configuration has changed it.
    Reconfigured,
    /// The director stops.
    Stop,
}
