//! What a machine is told.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Something that happened. Time that has passed is told by calling at or after the deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// The deadline has come.
    Tick {
        /// Everything that was received until then has been told: nobody's silence is judged beyond that.
        heard: Instant,
    },
    /// A packet of protocol 112 came in.
    Received(Received<'a>),
    /// The state of an interface. Until it is told, an interface is down.
    Link {
        /// Which.
        interface: Arc<str>,
        /// It is up and has a carrier.
        up: bool,
        /// Its own (not virtual) addresses from which adverts may be sent, the best first: in IPv4 the primary
        /// addresses, in IPv6 the link-local one. A router without one of its family cannot run.
        sources: Vec<IpAddr>,
    },
    /// What has become of something that is tracked.
    Track {
        /// Of [`crate::config::Track`].
        key: Arc<str>,
        /// What.
        state: Tracked,
    },
    /// Resign in order and end: no router takes part after that.
    Stop,
}

/// A packet as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// On which interface.
    pub interface: &'a str,
    /// From whom.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The VRRP message with whatever came after it, without the IP header.
    pub message: &'a [u8],
}

/// What has become of something that is tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tracked {
    /// Not looked at yet. A router that has not started yet waits for the first verdict; for any other it counts as
    /// up.
    #[default]
    Unknown,
    /// As it should be.
    Up,
    /// Not so.
    Down,
    /// A number, as from a file: other than 0 it is a fault, or the priority gets so many times the weight added.
    Number(i32),
}
