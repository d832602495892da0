//! Raw sockets of protocol 112.
//!
//! A [`Listener`] hears one family on one interface. A [`Sender`] can send everything: interface and source are told
//! with each packet, so that it can send through a macvlan from its parent's addresses. But what a stuck interface
//! does not take stays in its sender's buffer, until that is full: so each [`Line`] has its own.

mod ipv4;
mod listener;
mod sender;
mod shield;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Family;

pub(super) use listener::{Buffer, Listener};
pub(super) use sender::Sender;

/// RFC 9568 §5.1.1.4.
const PROTOCOL: i32 = 112;
/// RFC 9568 §5.1.1.2.
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// RFC 9568 §5.1.2.2.
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// Where the adverts of a family go that are for everyone on the link.
pub(super) fn group(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => GROUP_V4.into(),
        Family::Ipv6 => GROUP_V6.into(),
    }
}

/// A packet as it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// From whom.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// What is in it.
    pub message: &'a [u8],
}

/// One family on one interface: both directions.
pub(super) struct Line {
    pub listener: Listener,
    pub sender: Sender,
}

impl Line {
    /// As [`Listener::open`].
    pub(super) fn open(family: Family, index: NonZeroU32) -> io::Result<Self> {
        Ok(Self { listener: Listener::open(family, index)?, sender: Sender::open()? })
    }
}

fn open(family: Family) -> io::Result<Socket> {
    let domain = match family {
        Family::Ipv4 => Domain::IPV4,
        Family::Ipv6 => Domain::IPV6,
    };
    Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(Protocol::from(PROTOCOL)))
}

#[cfg(test)]
mod tests;
