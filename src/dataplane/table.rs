//! What a dataplane holds, in terms that every dataplane shares.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{OnDown, Persistence, Protocol, ProxyProtocol, Scheduler, SchedulerFlags};

/// All services by key. A service that did not change keeps its `Arc`, so comparing tables is cheap.
pub type Table = BTreeMap<ServiceKey, Arc<Service>>;

/// The identity of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The virtual server's address.
    pub address: SocketAddr,
}

impl std::fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.protocol, self.address)
    }
}

/// One address of a virtual server and the pool behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// All but the pool.
    pub attributes: Attributes,
    /// The pool by address.
    pub destinations: BTreeMap<SocketAddr, Destination>,
}

/// What can change about a service while its connections live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The virtual server's name: its addresses share the counters of their destinations.
    pub group: Arc<str>,
    /// How a destination is chosen.
    pub scheduler: Scheduler,
    /// Details of the hashing schedulers.
    pub scheduler_flags: SchedulerFlags,
    /// Clients that stay with their destination.
    pub persistence: Option<Persistence>,
    /// Over all attempts to reach a destination for one connection.
    pub connect_timeout: Duration,
    /// Closes a connection without a byte in either direction.
    pub idle_timeout: Duration,
    /// Tells the destination who the client is.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// What becomes of the connections of a dead destination.
    pub on_down: OnDown,
}

/// One destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// 0: no new connections.
    pub weight: u32,
    /// The most connections; 0: no limit.
    pub max_connections: u32,
    /// False: the checks say that it is dead.
    pub alive: bool,
}
