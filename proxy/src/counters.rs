//! What the proxy has done: plain numbers, read as a whole.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::ServiceKey;

/// Everything that is counted, since the proxy started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Ordered by key.
    pub services: Vec<(ServiceKey, ServiceCounters)>,
    /// Ordered by group, then by address.
    pub destinations: Vec<((Arc<str>, SocketAddr), DestinationCounters)>,
}

/// Of one service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServiceCounters {
    /// Connections accepted, or UDP sessions begun.
    pub accepted: u64,
    /// Turned away because no destination could take them.
    pub no_destination: u64,
    /// Turned away because the proxy is at its own limit.
    pub over_limit: u64,
}

/// Of one destination within one group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DestinationCounters {
    /// Open or on their way now.
    pub active: u64,
    /// Attempts to reach it that were made, in total. At any time `begun` is those that failed, those that were
    /// established and have ended, and `active`.
    pub begun: u64,
    /// Established, in total; of UDP, sessions.
    pub connections: u64,
    /// Attempts that failed (each may have been made good by another destination); of UDP, sessions too that were
    /// refused later.
    pub connect_failures: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}
