//! What a director's virtual routers are to be. Whoever builds these values has validated them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// All virtual routers of a director, sorted by name; names are unique, and so is the triple of interface, family
/// and router id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// The virtual routers.
    pub routers: Vec<Arc<Router>>,
}

/// One virtual router.
///
/// The name is its identity; another interface, router id, family or version makes it another one, which starts
/// from Initialize.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    /// What it is called in events and status.
    pub name: Arc<str>,
    /// Where adverts are sent and heard.
    pub interface: Arc<str>,
    /// VRID, 1 to 255.
    pub router_id: u8,
    /// Of the protocol.
    pub version: Version,
    /// Of the adverts and the addresses in them.
    pub family: Family,
    /// 1 to 254; 255 is the owner of the addresses.
    pub priority: u8,
    /// Between adverts: 10 ms to 40.95 s in steps of 10 ms; whole seconds, 1 to 255, in version 2.
    pub interval: Duration,
    /// Whether a lower priority is pushed aside. An owner always does.
    pub preempt: bool,
    /// How long a lower priority is let be, from when it is first heard.
    pub preempt_delay: Duration,
    /// Who hears the adverts, and whom this router listens to.
    pub peers: Peers,
    /// What adverts are sent from; none: the first of the interface's own addresses ([`crate::Input::Link`]).
    pub source: Option<IpAddr>,
    /// Of the password; version 2 only (RFC 2338 §10.2, type 1).
    pub authentication: Option<[u8; 8]>,
    /// How this router computes checksums; both are accepted.
    pub checksum: Checksum,
    /// The addresses in the adverts: the router's own, all of its family; at most 255. In IPv6 the first is
    /// link-local where there is one.
    pub addresses: Arc<[IpAddr]>,
    /// How a takeover is announced.
    pub announce: Announce,
    /// Routers of the same group are Active together or not at all. All have the same priority, and what one
    /// tracks all track.
    pub group: Option<Arc<str>>,
    /// What else raises and lowers the priority, or is needed at all. A router does not start before the first verdict
    /// on each.
    pub tracks: Vec<Track>,
}

impl Router {
    /// The least TTL or hop limit of an advert that is taken (RFC 9568 §5.1.1.3).
    pub(crate) fn min_ttl(&self) -> u8 {
        match self.peers {
            Peers::Multicast => u8::MAX,
            Peers::Unicast { min_ttl, .. } => min_ttl,
        }
    }

    /// Whether adverts of one would be taken for those of the other.
    pub(crate) fn is_heard_as(&self, other: &Self) -> bool {
        self.router_id == other.router_id && self.family == other.family && self.interface == other.interface
    }
}

/// Of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// RFC 3768, IPv4 only.
    V2,
    /// RFC 9568.
    #[default]
    V3,
}

/// Address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4
    Ipv4,
    /// IPv6
    Ipv6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// Who hears the adverts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Everyone on the link; the TTL must be 255 (RFC 9568 §5.1.1.3).
    Multicast,
    /// Only these, each by itself; adverts from others are refused.
    Unicast {
        /// The other directors.
        peers: Arc<[IpAddr]>,
        /// The least TTL or hop limit of an advert: 255 for peers on the link, less for peers behind routers.
        min_ttl: u8,
    },
}

/// What the checksum of a version-3 message over IPv4 covers. Elsewhere there is no choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// The message and a pseudo-header (RFC 5798 §5.2.8).
    #[default]
    PseudoHeader,
    /// The message only (RFC 9568 §5.2.8).
    Message,
}

/// How a takeover is announced: at once, and a second time after a delay; then again and again if wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announce {
    /// Announcements of each address at a time.
    pub count: u8,
    /// From the first time to the second; zero: there is no second.
    pub delay: Duration,
    /// From then on; zero: never again.
    pub refresh: Duration,
}

impl Default for Announce {
    fn default() -> Self {
        Self { count: 5, delay: Duration::from_secs(5), refresh: Duration::ZERO }
    }
}

/// Something that is watched, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// What it is called, in [`crate::Input::Track`] too; several routers may name the same.
    pub key: Arc<str>,
    /// What follows.
    pub effect: Effect,
}

/// What follows from a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// While it is down this director does not take part.
    Fault,
    /// Below zero: added to the priority while it is down. Above: added while it is up. The result stays within 1
    /// to 254, and an owner's priority is 255 in any case.
    Weight(i16),
}
