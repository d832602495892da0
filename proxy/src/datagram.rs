//! Receiving and answering datagrams so that the answer's source is the address that was asked.
//!
//! A socket bound to one address answers from it by itself. One bound to the wildcard has many, and the
//! kernel would choose by route; there the address is taken from each datagram (IP_PKTINFO, ip(7), and RFC
//! 3542 §6) and given back with the answer.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg,
    sendmsg, setsockopt, sockopt,
};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) length: usize,
    pub(crate) from: SocketAddr,
    /// The address that was asked, where the socket has more than one.
    pub(crate) asked: Option<IpAddr>,
}

/// To be called for a socket that is bound to the wildcard address `listen`.
pub(crate) fn tell_asked(socket: &OwnedFd, listen: SocketAddr) -> Result<(), Errno> {
    let done = match listen {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true),
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true),
    };
    done.map_err(errno)
}

/// None: a datagram whose sender cannot be answered.
pub(crate) fn receive(
    socket: &OwnedFd,
    wildcard: bool,
    buffer: &mut [u8],
) -> Result<Option<Datagram>, Errno> {
    if wildcard {
        return receive_asked(socket, buffer);
    }
    let (_, length, from) = recvfrom(socket, buffer, RecvFlags::empty())?;
    let from = from.and_then(|from| SocketAddr::try_from(from).ok());
    Ok(from.map(|from| Datagram { length, from, asked: None }))
}

pub(crate) fn reply(
    socket: &OwnedFd,
    bytes: &[u8],
    to: SocketAddr,
    asked: Option<IpAddr>,
) -> Result<(), Errno> {
    let Some(asked) = asked else {
        return sendto(socket, bytes, SendFlags::empty(), &to).map(drop);
    };
    let (fd, data, to) = (socket.as_raw_fd(), [IoSlice::new(bytes)], SockaddrStorage::from(to));
    let sent = match asked {
        IpAddr::V4(asked) => {
            let source = nix::libc::in_addr { s_addr: u32::from(asked).to_be() };
            let info = nix::libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: source };
            sendmsg(fd, &data, &[ControlMessage::Ipv4PacketInfo(&info)], MsgFlags::empty(), Some(&to))
        }
        IpAddr::V6(asked) => {
            let source = nix::libc::in6_addr { s6_addr: asked.octets() };
            let info = nix::libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 };
            sendmsg(fd, &data, &[ControlMessage::Ipv6PacketInfo(&info)], MsgFlags::empty(), Some(&to))
        }
    };
    sent.map(drop).map_err(errno)
}

/// Larger than any of the two messages with its header, which is read in place.
#[repr(align(8))]
struct Control([u8; 128]);

fn receive_asked(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<Datagram>, Errno> {
    let mut control = Control([0; 128]);
    let mut data = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut data, Some(&mut control.0), MsgFlags::empty())
            .map_err(errno)?;
    let asked = message.cmsgs().map_err(errno)?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::from(u32::from_be(info.ipi_spec_dst.s_addr).to_be_bytes()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    });
    let from = message.address.as_ref().and_then(address);
    Ok(from.map(|from| Datagram { length: message.bytes, from, asked }))
}

fn address(from: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = |from: &SockaddrIn| SocketAddr::V4(SocketAddrV4::from(*from));
    let v6 = |from: &SockaddrIn6| SocketAddr::V6(SocketAddrV6::from(*from));
    from.as_sockaddr_in().map(v4).or_else(|| from.as_sockaddr_in6().map(v6))
}

fn errno(error: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(error as i32)
}
