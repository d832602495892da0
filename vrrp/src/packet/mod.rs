//! VRRP messages (RFC 9568 §5, RFC 3768 §5), without the IP header.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! |version| type 1|      VRID     |    priority   | address count |
//! +-------+-------+---------------+---------------+---------------+
//! | version 3: 0 | interval, 1/100 s|           checksum          |
//! | version 2: auth type | interval, s |                           |
//! +---------------+---------------+---------------+---------------+
//! | addresses, 4 or 16 bytes each; version 2: 8 bytes of password |
//! ```

mod checksum;
mod decode;
mod encode;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use decode::{Malformed, decode, router_id};
pub use encode::encode;

use crate::config::{Family, Version};

/// The number of VRRP among the protocols over IP.
pub const PROTOCOL: u8 = 112;

/// A message, decoded or to be encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// Of the protocol.
    pub version: Version,
    /// VRID.
    pub router_id: u8,
    /// 1 to 255; 0: the sender resigns.
    pub priority: u8,
    /// Between the sender's adverts: hundredths of a second in version 3, seconds in version 2.
    pub interval: Duration,
    /// The virtual router's addresses.
    pub addresses: Arc<[IpAddr]>,
    /// Of the password, in version 2 with type 1.
    pub authentication: Option<[u8; 8]>,
}

/// The only type of message there is.
const TYPE_ADVERTISEMENT: u8 = 1;
/// Before the addresses.
const HEADER: usize = 8;
/// After the addresses in version 2, whatever the authentication type (RFC 3768 §5.3.10).
const AUTHENTICATION: usize = 8;
const CHECKSUM: std::ops::Range<usize> = 6..8;

/// How long a message is that has so many addresses.
fn length(version: Version, family: Family, addresses: usize) -> usize {
    let address = match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 16,
    };
    let trailer = match version {
        Version::V2 => AUTHENTICATION,
        Version::V3 => 0,
    };
    HEADER + addresses * address + trailer
}
