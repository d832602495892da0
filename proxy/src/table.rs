//! What the proxy is to do: an immutable table, published whole.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// All services, ordered by key, each key once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The services. One that is the same `Arc` as in the table before is known to be unchanged.
    pub services: Vec<Arc<Service>>,
}

/// What a service listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The listening address.
    pub listen: SocketAddr,
}

/// Transport protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams, grouped into sessions by the client's address.
    Udp,
}

/// One listener and the pool behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The identity; all else can change while connections live.
    pub key: ServiceKey,
    /// The virtual server's name. Services of one group share their destinations' counters and caps.
    pub group: Arc<str>,
    /// How a destination is chosen.
    pub scheduler: Scheduler,
    /// Details of the hashing schedulers.
    pub scheduler_flags: SchedulerFlags,
    /// Clients that stay with their destination.
    pub persistence: Option<Persistence>,
    /// The deadline over all attempts to reach a destination for one connection.
    pub connect_timeout: Duration,
    /// A connection or a UDP session without a byte in either direction for this long is closed.
    pub idle_timeout: Duration,
    /// What is sent ahead of the client's bytes to tell the real server who the client is (TCP only).
    pub proxy_protocol: Option<ProxyProtocol>,
    /// What becomes of the connections of a destination that is no longer alive.
    pub on_down: OnDown,
    /// Ordered by address, each once.
    pub destinations: Vec<Destination>,
    /// Who takes what finds none of them with room, without a cap of its own. None: it is turned away.
    pub overflow: Option<SocketAddr>,
}

/// One real server or the sorry server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// Where.
    pub address: SocketAddr,
    /// 0: no new connections.
    pub weight: u32,
    /// The most connections that are open or on their way; 0: no limit.
    pub max_connections: u32,
    /// False: the checks say that it is dead, and `on_down` applies to its connections.
    pub alive: bool,
}

/// IPVS's schedulers that the proxy has, with their meaning there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// `rr`
    RoundRobin,
    /// `wrr`
    WeightedRoundRobin,
    /// `lc`
    LeastConnection,
    /// `wlc`
    WeightedLeastConnection,
    /// `sh`
    SourceHash,
    /// `mh`
    Maglev,
}

/// IPVS's flags of `sh` and `mh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SchedulerFlags {
    /// Choose another destination when the hash points at one that cannot be used.
    pub fallback: bool,
    /// Hash the client's port too.
    pub port: bool,
}

/// Clients of one network stay with one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// From the last connection of that network.
    pub timeout: Duration,
    /// How many leading bits make an IPv4 network, 1 to 32.
    pub prefix_v4: u8,
    /// How many leading bits make an IPv6 network, 1 to 128.
    pub prefix_v6: u8,
}

/// Versions of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// One line of text.
    V1,
    /// A binary header.
    V2,
}

/// What becomes of the connections of a destination that died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnDown {
    /// They go on for as long as both ends do.
    #[default]
    Keep,
    /// They are reset, so that clients come back at once.
    Reset,
}
