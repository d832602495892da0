//! The kernel's own settings: timeouts, and the daemons that tell the other director about connections.

use std::net::IpAddr;

use super::Name;

/// How long connections are remembered, in seconds. In a request 0 leaves one as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Of an established TCP connection.
    pub tcp: u32,
    /// Of a TCP connection after a FIN.
    pub tcp_fin: u32,
    /// Of UDP.
    pub udp: u32,
}

/// A connection synchronisation daemon: the kernel can run one of each role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncDaemon {
    /// Sends or receives.
    pub role: SyncRole,
    /// The interface of the multicast group.
    pub interface: Name,
    /// Told apart by it, or in a receiver 0 for all.
    pub sync_id: u8,
    /// The longest UDP payload; by default what fits the interface.
    pub max_length: Option<u16>,
    /// The multicast group; by default 224.0.0.81.
    pub group: Option<IpAddr>,
    /// The UDP port; by default 8848.
    pub port: Option<u16>,
    /// TTL or hop limit; by default 1.
    pub ttl: Option<u8>,
}

impl SyncDaemon {
    /// Whether `running` is what this asks for; what this leaves to the kernel may be anything.
    pub fn is_met_by(&self, running: &Self) -> bool {
        fn agrees<T: PartialEq>(wanted: &Option<T>, actual: &Option<T>) -> bool {
            wanted.is_none() || wanted == actual
        }
        (self.role, &self.interface, self.sync_id) == (running.role, &running.interface, running.sync_id)
            && agrees(&self.max_length, &running.max_length)
            && agrees(&self.group, &running.group)
            && agrees(&self.port, &running.port)
            && agrees(&self.ttl, &running.ttl)
    }
}

/// What a synchronisation daemon does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncRole {
    /// Sends this director's connections.
    Active,
    /// Takes the other director's.
    Backup,
}

impl std::fmt::Display for SyncRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Backup => "backup",
        })
    }
}

/// What IPVS says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Major, minor, patch.
    pub version: (u8, u8, u8),
    /// Buckets of the connection table.
    pub connection_table_size: u32,
}
