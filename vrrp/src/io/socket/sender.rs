//! Sends adverts.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, SockaddrIn6, sendmsg, setsockopt, sockopt};
use rustix::io::Errno;
use socket2::{SockFilter, Socket};

use super::open;
use crate::config::Family;

/// RFC 9568 §5.1.1.3.
const TTL: u32 = 255;
/// Internetwork control (RFC 791 §3.1), as routing protocols send (RFC 4594 §3.2).
const TRAFFIC_CLASS: u32 = 0xc0;
/// TC_PRIO_INTERACTIVE: the interface's queue sends it before the bulk of the traffic.
const QUEUE_PRIORITY: i32 = 6;
/// BPF_RET with 0: nothing is received.
const NOTHING: SockFilter = SockFilter::new(0x06, 0, 0, 0);

/// Sends packets of protocol 112 from any address of this host through any of its interfaces.
pub(in crate::io) struct Sender {
    ipv4: Socket,
    /// A host may have none.
    ipv6: Option<Socket>,
}

impl Sender {
    pub(in crate::io) fn open() -> io::Result<Self> {
        let ipv6 = match open_ipv6() {
            Ok(socket) => Some(socket),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::AFNOSUPPORT) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { ipv4: open_ipv4()?, ipv6 })
    }

    /// Sends a message through the interface with this index, without waiting. Source and destination are of the same
    /// family.
    pub(in crate::io) fn send(
        &self,
        index: u32,
        source: IpAddr,
        destination: IpAddr,
        message: &[u8],
    ) -> io::Result<()> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.send_ipv4(index, source, destination, message)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.send_ipv6(index, source, destination, message)
            }
            _ => Err(Errno::AFNOSUPPORT.into()),
        }
    }

    fn send_ipv4(
        &self,
        index: u32,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        message: &[u8],
    ) -> io::Result<()> {
        let info = in_pktinfo {
            ipi_ifindex: i32::try_from(index).map_err(|_| Errno::NODEV)?,
            ipi_spec_dst: in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
            ipi_addr: in_addr { s_addr: 0 },
        };
        let to = SockaddrIn::from(std::net::SocketAddrV4::new(destination, 0));
        send(&self.ipv4, message, ControlMessage::Ipv4PacketInfo(&info), &to)
    }

    fn send_ipv6(
        &self,
        index: u32,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        message: &[u8],
    ) -> io::Result<()> {
        let socket = self.ipv6.as_ref().ok_or(Errno::AFNOSUPPORT)?;
        let info = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: source.octets() }, ipi6_ifindex: index };
        let to = SockaddrIn6::from(std::net::SocketAddrV6::new(destination, 0, 0, index));
        send(socket, message, ControlMessage::Ipv6PacketInfo(&info), &to)
    }
}

fn send<A: nix::sys::socket::SockaddrLike>(
    socket: &Socket,
    message: &[u8],
    info: ControlMessage<'_>,
    to: &A,
) -> io::Result<()> {
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(message)], &[info], MsgFlags::MSG_DONTWAIT, Some(to))?;
    Ok(())
}

fn open_ipv4() -> io::Result<Socket> {
    let socket = open(Family::Ipv4)?;
    socket.set_ttl_v4(TTL)?;
    socket.set_multicast_ttl_v4(TTL)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_tos_v4(TRAFFIC_CLASS)?;
    prepare(socket)
}

fn open_ipv6() -> io::Result<Socket> {
    let socket = open(Family::Ipv6)?;
    socket.set_unicast_hops_v6(TTL)?;
    socket.set_multicast_hops_v6(TTL)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_tclass_v6(TRAFFIC_CLASS)?;
    // A macvlan does not have its parent's link-local address.
    socket.set_freebind_v6(true)?;
    prepare(socket)
}

fn prepare(socket: Socket) -> io::Result<Socket> {
    // After the traffic class, which sets it too.
    setsockopt(&socket, sockopt::Priority, &QUEUE_PRIORITY)?;
    socket.attach_filter(&[NOTHING])?;
    Ok(socket)
}
