//! Tells the hosts of a link where an address is now: gratuitous ARP and unsolicited neighbour advertisements.

mod packet;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

use super::links::Links;

/// A full queue of a link is waited for so long.
const PATIENCE: Duration = Duration::from_millis(10);

/// Sends announcements on any link, by a socket for each: what waits on one link keeps nothing back on another.
#[derive(Default)]
pub(super) struct Announcer {
    sockets: BTreeMap<u32, Outlet>,
}

/// The socket of a link.
struct Outlet {
    socket: Socket,
    /// It was waited for in vain last time: it is not waited for again until it takes something.
    stuck: bool,
}

impl Announcer {
    /// Announces an address on a link; on one that is not there, or without Ethernet addresses, there is nobody to be
    /// told.
    pub(super) fn announce(&mut self, links: &Links, link: &str, address: IpAddr) -> io::Result<()> {
        let Some((link, mac)) = links.named(link).and_then(|link| Some((link, link.mac?))) else {
            return Ok(());
        };
        if !self.sockets.contains_key(&link.index) {
            self.sockets.retain(|index, _| links.name(*index).is_some());
        }
        let outlet = match self.sockets.entry(link.index) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Outlet::open()?),
        };
        match address {
            IpAddr::V4(address) => {
                let to = link_address(link.index, libc::ETH_P_ARP, [0xff; 6])?;
                outlet.send(&packet::gratuitous_arp(address, mac), &to)
            }
            IpAddr::V6(address) => {
                let to = link_address(link.index, libc::ETH_P_IPV6, [0x33, 0x33, 0, 0, 0, 1])?;
                outlet.send(&packet::neighbour_advertisement(address, mac, is_router(&link.name)), &to)
            }
        }
    }
}

impl Outlet {
    fn open() -> io::Result<Self> {
        // With protocol 0 nothing is received. The kernel adds the Ethernet header, with the link's own address.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(0)))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, stuck: false })
    }

    fn send(&mut self, packet: &[u8], to: &SockAddr) -> io::Result<()> {
        let flags = if self.stuck { libc::MSG_DONTWAIT } else { 0 };
        let sent = self.socket.send_to_with_flags(packet, to, flags).map(drop);
        self.stuck = sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        sent
    }
}

/// Whether this host forwards what comes in there, and so announces itself as a router.
fn is_router(link: &str) -> bool {
    std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{link}/forwarding"))
        .is_ok_and(|setting| setting.trim() != "0")
}

/// Where a frame of this protocol goes.
fn link_address(index: u32, protocol: i32, mac: [u8; 6]) -> io::Result<SockAddr> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: every bit pattern is a `sockaddr_ll`, which is the type that the family says.
    #[allow(unsafe_code)]
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = u16::try_from(protocol).map_err(invalid)?.to_be();
    address.sll_ifindex = i32::try_from(index).map_err(invalid)?;
    address.sll_halen = 6;
    address.sll_addr[..6].copy_from_slice(&mac);
    // SAFETY: the storage holds a `sockaddr_ll`, filled in above, and that is its length.
    #[allow(unsafe_code)]
    Ok(unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as u32) })
}

#[cfg(test)]
mod tests;
