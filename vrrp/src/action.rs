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
///        link up, tracks known, no fault         active down timer
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
    /// Has resigned with priority 0, or silently where its group was outranked, but goes on holding the addresses
    /// until its successor is heard.
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

/// For people: completes "backup -> active: …".
impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => f.write_str("everything that is needed is there"),
            Self::Owner => f.write_str("this director owns the addresses"),
            Self::Silence => f.write_str("no other director was heard any more"),
            Self::Outranked { by, priority } => write!(f, "{by} has priority {priority} and comes first"),
            Self::Succeeded { by } => write!(f, "{by} has taken over"),
            Self::NoSuccessor => f.write_str("no other director has taken over"),
            Self::Failover => f.write_str("an operator's order"),
            Self::Link => f.write_str("the interface is down or has no address to send from"),
            Self::Fault { track } => write!(f, "{track} is down"),
            Self::Group { router } => write!(f, "with {router} of the same group"),
            Self::Stalled { gap } => {
                write!(f, "the director stood still for {gap:.1?}, and others may have taken over")
            }
            Self::Reconfigured => f.write_str("another configuration"),
            Self::Stop => f.write_str("the director stops"),
        }
    }
}
