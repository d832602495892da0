//! What a dataplane holds, in terms that every dataplane shares.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_engine::Mode;

use crate::config::{Dataplane, Forwarding, Listen, Persistence, Scheduler, SchedulerFlags};

/// All services by key. A service that did not change keeps its `Arc`, so comparing tables is cheap.
pub type Table = BTreeMap<ServiceKey, Arc<Service>>;

/// The identity of a service: what it takes in.
pub type ServiceKey = Listen;

/// What a virtual server takes in by one of its addresses, and the pool behind it.
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
    /// What only this dataplane has.
    pub dataplane: Dataplane,
    /// What is done about overload.
    pub overload: Mode,
    /// Who takes what finds no destination with room; only where the dataplane can.
    pub overflow: Option<SocketAddr>,
}

/// One destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// 0: no new connections.
    pub weight: u32,
    /// The most connections; 0: no limit.
    pub max_connections: u32,
    /// Having reached the most, new connections again below this; 0: the dataplane's own rule.
    pub resume_below: u32,
    /// How packets come to it.
    pub forwarding: Forwarding,
    /// False: the checks say that it is dead.
    pub alive: bool,
    /// False: the weight waits for the first checks, and a dataplane that outlives the director keeps what it has.
    pub decided: bool,
}

impl Destination {
    /// One that is alive, with this weight and nothing else said about it.
    pub fn new(weight: u32) -> Self {
        let forwarding = Forwarding::Nat;
        Self { weight, max_connections: 0, resume_below: 0, forwarding, alive: true, decided: true }
    }
}

#[cfg(test)]
impl Attributes {
    /// Those of a virtual server of the proxy of which nothing matters.
    pub(super) fn plain() -> Self {
        use crate::config::{OnDown, ProxyOptions};
        use std::time::Duration;

        Self {
            group: "web".into(),
            scheduler: Scheduler::RoundRobin,
            scheduler_flags: SchedulerFlags::default(),
            persistence: None,
            dataplane: Dataplane::Proxy(ProxyOptions {
                on_down: OnDown::Keep,
                connect_timeout: Duration::from_secs(3),
                idle_timeout: Duration::from_secs(60),
                proxy_protocol: None,
            }),
            overload: Mode::Off,
            overflow: None,
        }
    }
}
