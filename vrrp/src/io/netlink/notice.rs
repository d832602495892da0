//! What the kernel says of a link or an address: only what is used of it, so that attributes of kernels to come do
//! not matter.

use std::net::IpAddr;
use std::sync::Arc;

use netlink_packet_core::{NetlinkBuffer, NlaBuffer, NlasIterator};

const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;

/// A link or an address is there, or is not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::io) enum Notice {
    /// With the flags `IFF_…`.
    Link {
        index: u32,
        name: Arc<str>,
        flags: u32,
        mac: Option<[u8; 6]>,
    },
    LinkGone {
        index: u32,
    },
    /// With the flags `IFA_F_…`.
    Address {
        index: u32,
        address: IpAddr,
        prefix: u8,
        flags: u32,
    },
    AddressGone {
        index: u32,
        address: IpAddr,
        prefix: u8,
    },
}

impl Notice {
    /// Of the link.
    pub(in crate::io) fn index(&self) -> u32 {
        match self {
            Self::Link { index, .. }
            | Self::LinkGone { index }
            | Self::Address { index, .. }
            | Self::AddressGone { index, .. } => *index,
        }
    }

    /// Anything else is none.
    pub(super) fn parse(message: &NetlinkBuffer<&[u8]>) -> Option<Self> {
        let payload = message.payload();
        match message.message_type() {
            libc::RTM_NEWLINK => link(payload),
            libc::RTM_DELLINK => Some(Self::LinkGone { index: word(payload, 4)? }),
            libc::RTM_NEWADDR => address(payload).map(|(index, address, prefix, flags)| Self::Address {
                index,
                address,
                prefix,
                flags,
            }),
            libc::RTM_DELADDR => address(payload).map(|(index, address, prefix, _)| Self::AddressGone {
                index,
                address,
                prefix,
            }),
            _ => None,
        }
    }
}

/// `struct ifinfomsg` and its attributes.
fn link(payload: &[u8]) -> Option<Notice> {
    // Messages of bridges about their ports have the same type.
    if *payload.first()? != libc::AF_UNSPEC as u8 {
        return None;
    }
    let (index, flags) = (word(payload, 4)?, word(payload, 8)?);
    let (mut name, mut mac) = (None, None);
    for attribute in attributes(payload, LINK_HEADER) {
        match attribute.kind() {
            libc::IFLA_IFNAME => {
                let text = attribute.value().split(|&byte| byte == 0).next().unwrap_or_default();
                name = std::str::from_utf8(text).ok().map(Arc::from);
            }
            libc::IFLA_ADDRESS => mac = attribute.value().try_into().ok(),
            _ => {}
        }
    }
    Some(Notice::Link { index, name: name?, flags, mac })
}

/// `struct ifaddrmsg` and its attributes: index, address, prefix and flags.
fn address(payload: &[u8]) -> Option<(u32, IpAddr, u8, u32)> {
    let (prefix, mut flags, index) = (*payload.get(1)?, u32::from(*payload.get(2)?), word(payload, 4)?);
    let (mut own, mut peer) = (None, None);
    for attribute in attributes(payload, ADDRESS_HEADER) {
        match attribute.kind() {
            libc::IFA_LOCAL => own = ip(attribute.value()),
            libc::IFA_ADDRESS => peer = ip(attribute.value()),
            // All of them; the header has room for eight.
            libc::IFA_FLAGS => flags = word(attribute.value(), 0)?,
            _ => {}
        }
    }
    // In IPv6 the local address is there only where there is a peer's as well.
    Some((index, own.or(peer)?, prefix, flags))
}

fn attributes(payload: &[u8], header: usize) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(payload.get(header..).unwrap_or_default()).map_while(Result::ok)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

#[cfg(test)]
mod tests;
