//! The dataplanes: what they have in common, the adapters, and the loop that keeps them as desired.
//!
//! ```text
//!   event loop ──desired Table──► Reconciler (a thread of its own: a dataplane may block)
//!                                   observe() → plan(desired, observed) → apply(changes), again until equal
//!   event loop ◄──────Report────┘
//!   status request ──counters()──► the same thread, between two pieces of a look
//! ```
//!
//! Nothing outside of the adapters knows which dataplane it is. What a dataplane cannot do is refused when the
//! configuration is validated.

mod build;
mod ipvs;
mod plan;
mod proxy;
mod reconcile;
mod set;
mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

pub use build::services;
pub use ipvs::{IpvsDataplane, Leading};
pub use plan::{Change, plan};
pub use proxy::ProxyDataplane;
pub use reconcile::{CounterSource, Reconciler, Report};
pub use set::{CounterSources, Dataplanes};
pub use table::{Attributes, Destination, Service, ServiceKey, Table};

/// Something that carries traffic as a [`Table`] says.
pub trait Dataplane: Send {
    /// A piece of a look at everything: call again until the last. Other calls may come between.
    ///
    /// A look is at the services that are ours: those in `desired` when it begins and those that were applied here
    /// before. What a dataplane cannot tell (a name, a reason) is taken from `desired`. After an error the next call
    /// begins anew.
    fn observe(&mut self, desired: &Table) -> Result<Observed, Error>;

    /// What is, once a look has begun: services that are desired as they were at the last call of this or of the
    /// beginning of a look may be taken to be so, where looking at every one is expensive.
    fn observe_changed(&mut self, desired: &Table) -> Result<Table, Error>;

    /// Makes the changes in order; one result each. A change that is already made is no error.
    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), Error>>;

    /// What has been counted; none when it cannot be read. To be called until it is ready; other calls may come between.
    fn counters(&mut self) -> Poll<Option<Counters>>;

    /// The same of virtual servers that are protected from overload or observed, which is asked for again and again.
    fn sample(&mut self) -> Poll<Option<Counters>> {
        self.counters()
    }

    /// Sets anew, piece by piece, what has to follow the traffic where the dataplane does not enforce caps by itself;
    /// after how long to go on, if there is anything to do.
    fn regulate(&mut self) -> Option<Duration> {
        None
    }

    /// Takes no new connections from now on; those that live go on.
    fn stop_accepting(&mut self);

    /// Connections that live: what a stop waits for.
    fn active(&mut self) -> Option<u64>;

    /// False when a part of it has ended by an error of its own, so that only a new start makes it whole.
    fn is_whole(&self) -> bool;
}

/// What a piece of a look has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What is; services that other pieces are about are here as desired.
    pub table: Table,
    /// The look has come to its end.
    pub is_last: bool,
}

/// Why a dataplane is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// Counted by the proxy since it started, by IPVS since the kernel's entry was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Per service.
    pub services: BTreeMap<ServiceKey, ServiceCounters>,
    /// Per virtual server and real server, in this order. One block of memory, which goes back to the system: it is made
    /// anew twice a second.
    pub destinations: Vec<CountedDestination>,
    /// Of the dataplane as a whole.
    pub limits: Limits,
}

impl Counters {
    /// Puts the destinations in their order.
    fn sort(&mut self) {
        self.destinations.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    }

    /// Of one virtual server.
    pub fn of_group(&self, group: &str) -> Group<'_> {
        let from = self.destinations.partition_point(|((name, _), _)| **name < *group);
        let count = self.destinations[from..].partition_point(|((name, _), _)| **name == *group);
        Group(&self.destinations[from..][..count])
    }
}

/// Virtual server and real server, and what was counted of them.
pub type CountedDestination = ((Arc<str>, SocketAddr), DestinationCounters);

/// The destinations of one virtual server that were counted.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a>(&'a [CountedDestination]);

impl<'a> Group<'a> {
    /// In ascending order of address.
    pub fn iter(self) -> impl Iterator<Item = (SocketAddr, &'a DestinationCounters)> {
        self.0.iter().map(|((_, address), counted)| (*address, counted))
    }

    /// Of one of them.
    pub fn get(self, address: SocketAddr) -> Option<&'a DestinationCounters> {
        let at = self.0.binary_search_by_key(&address, |((_, address), _)| *address).ok()?;
        Some(&self.0[at].1)
    }
}

/// Of one service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServiceCounters {
    /// Connections or UDP sessions begun.
    pub accepted: u64,
    /// Turned away because no destination could take them.
    pub no_destination: u64,
    /// Turned away because the dataplane is at its own limit.
    pub over_limit: u64,
}

/// Of one destination of one virtual server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DestinationCounters {
    /// Open or on their way now.
    pub active: u64,
    /// Given to it in total, whether it took them or not.
    pub begun: u64,
    /// Established in total, or all that were begun where the dataplane cannot tell.
    pub connections: u64,
    /// Attempts that failed.
    pub connect_failures: u64,
    /// From clients.
    pub bytes_in: u64,
    /// To clients.
    pub bytes_out: u64,
    /// Grows while the real server itself answers clients, and not if all that it does is to refuse them; none where
    /// answers go another way or it is not watched.
    pub answered: Option<u64>,
}

/// What the dataplane can take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Client connections that live now.
    pub active: u64,
    /// The most of them.
    pub connections: u64,
    /// The descriptor limit that this comes from.
    pub descriptors: u64,
}
