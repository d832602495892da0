//! What a director holds for a virtual router while that is Active. Whoever builds these values has validated them.

use std::net::IpAddr;
use std::sync::Arc;

/// What belongs to one virtual router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The router's interface.
    pub interface: Arc<str>,
    /// VRID: the last byte of the virtual MAC address.
    pub router_id: u8,
    /// Those in the adverts, and others. All are announced.
    pub addresses: Vec<HeldAddress>,
    /// Routes while Active.
    pub routes: Vec<Route>,
    /// Policy rules while Active.
    pub rules: Vec<Rule>,
    /// The addresses are on a macvlan of their own with the virtual MAC address (RFC 9568 §7.3).
    pub virtual_mac: bool,
    /// Packets to the addresses are for this host (RFC 9568 §6.1, Accept_Mode); else they are dropped.
    pub accept: bool,
    /// The addresses are the interface's own (priority 255): never added, never removed.
    pub owner: bool,
    /// Announcements of each address at a time.
    pub announcements: u8,
}

/// An address to be held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldAddress {
    /// The address.
    pub address: IpAddr,
    /// Bits of the network: 32 or 128 for the address alone.
    pub prefix: u8,
    /// Another interface than the router's.
    pub interface: Option<Arc<str>>,
}

/// A route. Of one family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Where to; the default route is the unspecified address with 0 bits.
    pub destination: IpAddr,
    /// Bits of the network.
    pub prefix: u8,
    /// The next hop.
    pub via: Option<IpAddr>,
    /// The interface; none: the router's when there is no next hop, else whichever leads there.
    pub interface: Option<Arc<str>>,
    /// The preferred source address.
    pub source: Option<IpAddr>,
    /// The routing table; none: main.
    pub table: Option<u32>,
    /// Less comes first.
    pub metric: Option<u32>,
}

/// A policy rule. Of one family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// IPv6 instead of IPv4.
    pub ipv6: bool,
    /// Packets from this network.
    pub from: Option<(IpAddr, u8)>,
    /// Packets to this network.
    pub to: Option<(IpAddr, u8)>,
    /// Packets that came in by this interface.
    pub input: Option<Arc<str>>,
    /// Packets with this mark.
    pub fwmark: Option<u32>,
    /// The routing table that is looked up.
    pub table: u32,
    /// Less comes first.
    pub priority: u32,
}
