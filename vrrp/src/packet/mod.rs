//! VRRP messages (RFC 9568 §5, RFC 3768 §5).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Version;

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
