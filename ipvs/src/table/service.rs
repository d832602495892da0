//! A service without its destinations.

use std::net::Ipv4Addr;

use super::{Family, Name};

/// The schedulers that come with the kernel. Each is a module, `ip_vs_NAME`, that the kernel loads when it is
/// first asked for; a [`Service`] may name another.
pub const SCHEDULERS: [&str; 14] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos"];

/// How connections are spread over a service's destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The scheduler's name, as in [`SCHEDULERS`].
    pub scheduler: Name,
    /// Details of the scheduler.
    pub scheduler_flags: SchedulerFlags,
    /// Every UDP datagram is scheduled for itself, without a connection.
    pub one_packet: bool,
    /// Clients that stay with their destination.
    pub persistence: Option<Persistence>,
}

/// Three bits that mean what the scheduler takes them for. Named after sh and mh, the only ones that use any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedulerFlags {
    /// `sh-fallback`, `mh-fallback`: another destination when the chosen one is unusable.
    pub fallback: bool,
    /// `sh-port`, `mh-port`: the client's port is hashed too.
    pub port: bool,
    /// `flag-3`: no scheduler of the kernel's own.
    pub third: bool,
}

/// New connections of a client go to the destination that it has had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persistence {
    /// Seconds since the client's last connection.
    pub timeout: u32,
    /// Clients that count as one.
    pub mask: Mask,
    /// Recognises clients by something other than their address (`sip`: by the call's id).
    pub engine: Option<Name>,
}

/// What part of a client's address counts. Its family has to be the service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// A netmask.
    V4(Ipv4Addr),
    /// A prefix length.
    V6(u8),
}

impl Mask {
    /// The whole address.
    pub fn host(family: Family) -> Self {
        match family {
            Family::V4 => Self::V4(Ipv4Addr::BROADCAST),
            Family::V6 => Self::V6(128),
        }
    }
}
