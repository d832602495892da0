use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{AUTHENTICATION, Advert, HEADER, TYPE_ADVERTISEMENT, checksum, length};
use crate::Received;
use crate::config::{Family, Version};

/// Why a message is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Another version than asked for, or version 2 over IPv6.
    #[error("version {0}")]
    Version(u8),
    /// Not an advert.
    #[error("type {0}")]
    Type(u8),
    /// Shorter than its address count says, or without an address in version 3.
    #[error("{found} bytes with {addresses} addresses")]
    Length {
        /// Bytes that came.
        found: usize,
        /// Its address count.
        addresses: u8,
    },
    /// Of the message alone, and of the one with a pseudo-header.
    #[error("checksum")]
    Checksum,
    /// An authentication type that has no meaning, or is for another protocol (AH).
    #[error("authentication type {0}")]
    Authentication(u8),
    /// No time at all between adverts.
    #[error("interval 0")]
    Interval,
}

/// The VRID of what might be a message.
pub fn router_id(message: &[u8]) -> Option<u8> {
    message.get(1).copied()
}

/// Reads a message of this version: the checks of RFC 9568 §7.1 and RFC 3768 §7.1 that need no virtual router.
/// What comes after the message (padding of the link) is ignored.
pub fn decode(version: Version, received: &Received<'_>) -> Result<Advert, Malformed> {
    let family = Family::of(received.source);
    let bytes = received.message;
    let short = |addresses| Malformed::Length { found: bytes.len(), addresses };
    let Some((&[first, router_id, priority, count, high, low, _, _], _)) =
        bytes.split_first_chunk::<HEADER>()
    else {
        return Err(short(0));
    };
    match (first >> 4, version, family) {
        (2, Version::V2, Family::Ipv4) | (3, Version::V3, _) => {}
        (found, _, _) => return Err(Malformed::Version(found)),
    }
    if first & 0xf != TYPE_ADVERTISEMENT {
        return Err(Malformed::Type(first & 0xf));
    }
    let message = bytes.get(..length(version, family, usize::from(count))).ok_or_else(|| short(count))?;
    if count == 0 && version == Version::V3 {
        return Err(short(count));
    }
    if !checksum_is_right(version, received, message) {
        return Err(Malformed::Checksum);
    }
    let (interval, authentication) = match version {
        Version::V2 => {
            let password = message.last_chunk::<AUTHENTICATION>().ok_or_else(|| short(count))?;
            let authentication = match high {
                0 => None,
                1 => Some(*password),
                other => return Err(Malformed::Authentication(other)),
            };
            (Duration::from_secs(low.into()), authentication)
        }
        // The first four bits are reserved.
        Version::V3 => (Duration::from_millis(10) * u32::from(u16::from_be_bytes([high & 0xf, low])), None),
    };
    if interval.is_zero() {
        return Err(Malformed::Interval);
    }
    let addresses = &message[HEADER..];
    let addresses = match family {
        Family::Ipv4 => {
            let (each, _) = addresses.as_chunks::<4>();
            each.iter().take(count.into()).map(|&octets| Ipv4Addr::from(octets).into()).collect()
        }
        Family::Ipv6 => {
            let (each, _) = addresses.as_chunks::<16>();
            each.iter().take(count.into()).map(|&octets| Ipv6Addr::from(octets).into()).collect()
        }
    };
    Ok(Advert { version, router_id, priority, interval, addresses, authentication })
}

/// Version 3 over IPv4 may have the pseudo-header (RFC 5798) or not (RFC 9568).
fn checksum_is_right(version: Version, received: &Received<'_>, message: &[u8]) -> bool {
    let alone = received.source.is_ipv4() && checksum::of_message(message) == 0;
    let with_pseudo_header =
        || checksum::with_pseudo_header(received.source, received.destination, message) == 0;
    alone || version == Version::V3 && with_pseudo_header()
}
