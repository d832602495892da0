//! What IPVS holds, in types. Pure.
//!
//! IPVS knows no scope ids and no flow labels: an IPv6 address is read back without them.

mod destination;
mod key;
mod name;
mod service;
mod sync;

use std::collections::BTreeMap;
use std::net::SocketAddr;

pub use destination::{Checksum, Destination, Forwarding, Tunnel};
pub use key::{Family, Key, Protocol};
pub use name::{InvalidName, Name};
pub use service::{Mask, Persistence, SCHEDULERS, SchedulerFlags, Service};
pub use sync::{Info, SyncDaemon, SyncRole, Timeouts};

/// All services, as a dump gives them: those of others too.
pub type Table = BTreeMap<Key, ServiceEntry>;

/// A service as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEntry {
    /// How it is set.
    pub service: Service,
    /// What has been counted.
    pub stats: Stats,
    /// Its destinations by address.
    pub destinations: BTreeMap<SocketAddr, DestinationEntry>,
}

/// A destination as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestinationEntry {
    /// How it is set.
    pub destination: Destination,
    /// Connections that are established.
    pub active: u32,
    /// Connections in any other state.
    pub inactive: u32,
    /// Clients that are kept there.
    pub persistent: u32,
    /// What has been counted.
    pub stats: Stats,
}

/// Counted since the entry was made or last reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections and what they carried.
    pub total: Counts,
    /// The same a second, the kernel's estimate of the last few seconds.
    pub rate: Counts,
}

/// Connections and what they carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections scheduled.
    pub connections: u64,
    /// From clients.
    pub packets_in: u64,
    /// To clients; 0 unless forwarding is NAT.
    pub packets_out: u64,
    /// From clients.
    pub bytes_in: u64,
    /// To clients; 0 unless forwarding is NAT.
    pub bytes_out: u64,
}
