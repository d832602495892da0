//! Hears adverts.

use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::net::Ipv6Addr;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Instant;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::in6_pktinfo;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt};
use socket2::{InterfaceIndexOrAddress, Socket};

use super::shield::Shield;
use super::{GROUP_V4, GROUP_V6, Packet, ipv4, open};
use crate::config::Family;

/// Longer than any advert: 255 addresses of IPv6, or 255 of IPv4 after a header with options.
const LONGEST: usize = 4608;

/// What comes in while the thread cannot run: more than a thousand adverts.
const QUEUE: usize = 1024 * 1024;

/// Hears one family's packets of protocol 112 on one interface, sent to the multicast group or to this host.
#[derive(Debug)]
pub(in crate::io) struct Listener {
    socket: Socket,
    family: Family,
    index: NonZeroU32,
    /// Of the TTL or hop limit: what anybody takes.
    least: u8,
    shield: Cell<Shield>,
}

/// What the kernel says about a packet; in IPv4 the header says the rest.
struct Arrival {
    index: u32,
    source: Option<Ipv6Addr>,
    destination: Ipv6Addr,
    hop_limit: i32,
}

/// Where a packet is put.
pub(in crate::io) struct Buffer {
    bytes: Vec<u8>,
    control: Vec<u8>,
}

impl Buffer {
    pub(in crate::io) fn new() -> Self {
        Self { bytes: vec![0; LONGEST], control: cmsg_space!(in6_pktinfo, i32) }
    }
}

impl Listener {
    /// Listens on the interface with this index. Both this and dropping it wait for the kernel's one lock of all
    /// network configuration, which others may hold for long.
    pub(in crate::io) fn open(family: Family, index: NonZeroU32) -> io::Result<Self> {
        let socket = open(family)?;
        // Without the capability CAP_NET_ADMIN the system's limit holds.
        if setsockopt(&socket, sockopt::RcvBufForce, &QUEUE).is_err() {
            socket.set_recv_buffer_size(QUEUE)?;
        }
        match family {
            Family::Ipv4 => {
                socket.bind_device_by_index_v4(Some(index))?;
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
                let interface = InterfaceIndexOrAddress::Index(index.get());
                socket.join_multicast_v4_n(&GROUP_V4, &interface)?;
            }
            Family::Ipv6 => {
                socket.bind_device_by_index_v6(Some(index))?;
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
                setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
                socket.join_multicast_v6(&GROUP_V6, index.get())?;
            }
        }
        Ok(Self { socket, family, index, least: 0, shield: Cell::new(Shield::Down(None)) })
    }

    pub(in crate::io) fn family(&self) -> Family {
        self.family
    }

    /// From now on what has a lower TTL or hop limit than this is taken by nobody: a flood of it may be dropped.
    pub(in crate::io) fn set_least_ttl(&mut self, least: u8) {
        if std::mem::replace(&mut self.least, least) != least {
            self.shield.set(self.shield.get().lower(&self.socket));
        }
    }

    /// To be called at each packet that was received, with its TTL or hop limit.
    pub(in crate::io) fn note(&self, now: Instant, ttl: u8) {
        self.shield.set(self.shield.get().note(now, ttl, self.least, &self.socket, self.family));
    }

    /// The next packet that has come in; none if there is none.
    pub(in crate::io) fn receive<'a>(&self, buffer: &'a mut Buffer) -> io::Result<Option<Packet<'a>>> {
        loop {
            match self.read(buffer) {
                // Others came in before the socket was bound.
                Ok((arrival, length)) if arrival.index == self.index.get() => {
                    return Ok(self.packet(arrival, buffer.bytes.get(..length).unwrap_or_default()));
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&self, buffer: &mut Buffer) -> nix::Result<(Arrival, usize)> {
        let mut parts = [IoSliceMut::new(&mut buffer.bytes)];
        let fd = self.socket.as_raw_fd();
        let received =
            recvmsg::<SockaddrIn6>(fd, &mut parts, Some(&mut buffer.control), MsgFlags::MSG_DONTWAIT)?;
        let source = received.address.map(|source| source.ip());
        let mut arrival = Arrival { index: 0, source, destination: Ipv6Addr::UNSPECIFIED, hop_limit: -1 };
        for control in received.cmsgs()? {
            match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    arrival.index = info.ipi_ifindex.unsigned_abs();
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    arrival.index = info.ipi6_ifindex;
                    arrival.destination = info.ipi6_addr.s6_addr.into();
                }
                ControlMessageOwned::Ipv6HopLimit(limit) => arrival.hop_limit = limit,
                _ => {}
            }
        }
        Ok((arrival, received.bytes))
    }

    fn packet<'a>(&self, arrival: Arrival, bytes: &'a [u8]) -> Option<Packet<'a>> {
        match self.family {
            Family::Ipv4 => ipv4::parse(bytes),
            Family::Ipv6 => Some(Packet {
                source: arrival.source?.into(),
                destination: arrival.destination.into(),
                ttl: u8::try_from(arrival.hop_limit).ok()?,
                message: bytes,
            }),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
