//! What a service is known by.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;

/// A transport protocol that IPVS balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Of an address.
    pub fn of(address: &SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// The identity of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// What is sent to an address and port.
    Address {
        /// The transport protocol.
        protocol: Protocol,
        /// The virtual address; port 0 means every port (with persistence only).
        address: SocketAddr,
    },
    /// What a firewall has marked.
    Fwmark {
        /// The mark.
        mark: NonZeroU32,
        /// A mark can be a service for each family.
        family: Family,
    },
}

impl Key {
    /// The service's address family.
    pub fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(address),
            Self::Fwmark { family, .. } => *family,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, address } => write!(f, "{protocol} {address}"),
            Self::Fwmark { mark, family: Family::V4 } => write!(f, "fwmark {mark} (IPv4)"),
            Self::Fwmark { mark, family: Family::V6 } => write!(f, "fwmark {mark} (IPv6)"),
        }
    }
}
