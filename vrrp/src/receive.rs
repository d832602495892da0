//! Which adverts a virtual router takes: the checks of RFC 9568 §7.1 and RFC 3768 §7.1.

use crate::Received;
use crate::config::{Peers, Router, Version};
use crate::packet::{self, Advert, Malformed};

/// Why a packet changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The TTL or hop limit is lower than wanted: it came from farther away than peers are. Where more than a hundred
    /// such packets come within a second the kernel drops them for a minute, uncounted.
    Ttl,
    /// The source is not among the peers.
    Source,
    /// Another version of the protocol.
    Version,
    /// Not an advert.
    Type,
    /// Shorter than it says, or without an address in version 3.
    Length,
    /// Wrong with a pseudo-header and without.
    Checksum,
    /// Another type of authentication, or another password.
    Authentication,
    /// Zero, or in version 2 another than this router's.
    Interval,
    /// Another router claims to own the addresses that this one owns.
    Owner,
}

impl Refusal {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Ttl,
        Self::Source,
        Self::Version,
        Self::Type,
        Self::Length,
        Self::Checksum,
        Self::Authentication,
        Self::Interval,
        Self::Owner,
    ];
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ttl => "ttl",
            Self::Source => "source",
            Self::Version => "version",
            Self::Type => "type",
            Self::Length => "length",
            Self::Checksum => "checksum",
            Self::Authentication => "authentication",
            Self::Interval => "interval",
            Self::Owner => "owner",
        })
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Version(_) => Self::Version,
            Malformed::Type(_) => Self::Type,
            Malformed::Length { .. } => Self::Length,
            Malformed::Checksum => Self::Checksum,
            Malformed::Authentication(_) => Self::Authentication,
            Malformed::Interval => Self::Interval,
        }
    }
}

/// The advert in a packet with this router's VRID, if the router has to heed it.
pub(crate) fn check(router: &Router, received: &Received<'_>) -> Result<Advert, Refusal> {
    if let Peers::Unicast { peers, .. } = &router.peers
        && !peers.contains(&received.source)
    {
        return Err(Refusal::Source);
    }
    if received.ttl < router.min_ttl() {
        return Err(Refusal::Ttl);
    }
    let advert = packet::decode(router.version, received)?;
    if advert.authentication != router.authentication {
        return Err(Refusal::Authentication);
    }
    if router.version == Version::V2 && advert.interval != router.interval {
        return Err(Refusal::Interval);
    }
    if router.priority == u8::MAX && advert.priority == u8::MAX {
        return Err(Refusal::Owner);
    }
    Ok(advert)
}
