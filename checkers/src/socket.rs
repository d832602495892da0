//! Connections of checks, and what stands for them where there are none.

use std::net::{IpAddr, SocketAddr, TcpStream as StdStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use crate::{Outcome, Target, failure};

/// Opens a connection to the target, or says why there is none.
pub(crate) async fn connect(target: &Target) -> Result<TcpStream, Outcome> {
    let socket = stream(target)?;
    dial(&socket, target)?;
    socket.set_tcp_nodelay(true).map_err(|error| failure::own(&error, "set TCP_NODELAY"))?;
    let stream = TcpStream::from_std(StdStream::from(socket))
        .map_err(|error| failure::own(&error, "watch a socket"))?;
    stream.writable().await.map_err(|error| failure::own(&error, "watch a socket"))?;
    match stream.take_error() {
        Ok(None) => Ok(stream),
        Ok(Some(error)) | Err(error) => Err(failure::connecting(&error)),
    }
}

/// A socket for a connection to the target.
pub(crate) fn stream(target: &Target) -> Result<Socket, Outcome> {
    let socket = open(target, Type::STREAM, Protocol::TCP)?;
    // Closed by a reset: with tens of thousands of checks a second, TIME_WAIT would use up the local ports.
    socket.set_linger(Some(Duration::ZERO)).map_err(|error| failure::own(&error, "set SO_LINGER"))?;
    Ok(socket)
}

/// Begins a connection to the target, in which it is us who speaks first: the server's SYN is acknowledged only with
/// what we say. If that is nothing the connection has ended by then, with a packet less, and the server's program does
/// not hear of it.
pub(crate) fn dial_to_speak(socket: &Socket, target: &Target) -> Result<(), Outcome> {
    socket.set_tcp_quickack(false).map_err(|error| failure::own(&error, "set TCP_QUICKACK"))?;
    dial(socket, target)
}

/// A UDP socket that sends to the target and receives only from there.
pub(crate) fn datagram(target: &Target) -> Result<Socket, Outcome> {
    let socket = open(target, Type::DGRAM, Protocol::UDP)?;
    hear_errors(&socket, target)?;
    dial(&socket, target)?;
    Ok(socket)
}

/// A socket for ICMP echoes with the target, and whether it is a raw one. Without privileges the kernel gives one that
/// can do nothing else to the groups of `net.ipv4.ping_group_range`, which counts for IPv6 too.
pub(crate) fn echo(target: &Target) -> Result<(Socket, bool), Outcome> {
    let protocol = if target.address.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let open =
        |kind: Type| Socket::new(Domain::for_address(target.address), kind.nonblocking(), Some(protocol));
    let (socket, raw) = match open(Type::DGRAM) {
        Ok(socket) => (socket, false),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => (
            open(Type::RAW)
                .map_err(|error| failure::raw(&error, ", or a group of ours in net.ipv4.ping_group_range"))?,
            true,
        ),
        Err(error) => return Err(failure::own(&error, "open a socket for ICMP")),
    };
    mark(&socket, target.fwmark)?;
    if let Some(address) = target.bind {
        bind(&socket, address)?;
    }
    hear_errors(&socket, target)?;
    // These sockets know no ports.
    let mut address = target.address;
    address.set_port(0);
    dial(&socket, &Target { address, ..*target })?;
    Ok((socket, raw))
}

/// Begins a connection: the socket is writable once that is decided.
///
/// `connect(2)` is called here and not through tokio, because what it returns at once is our own routing table's
/// word and what comes later is the network's.
fn dial(socket: &Socket, target: &Target) -> Result<(), Outcome> {
    match socket.connect(&target.address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => {
            Err(failure::connect(&error, target.address))
        }
        _ => Ok(()),
    }
}

/// A socket with the target's mark and bound to its local address.
fn open(target: &Target, kind: Type, protocol: Protocol) -> Result<Socket, Outcome> {
    let socket = Socket::new(Domain::for_address(target.address), kind.nonblocking(), Some(protocol))
        .map_err(|error| failure::own(&error, "open a socket"))?;
    mark(&socket, target.fwmark)?;
    if let Some(address) = target.bind {
        // Leaves the choice of the port to `connect(2)`, which can give one port to connections with different peers.
        let name = libc::IP_BIND_ADDRESS_NO_PORT;
        turn_on(&socket, libc::IPPROTO_IP, name)
            .map_err(|error| failure::own(&error, "set IP_BIND_ADDRESS_NO_PORT"))?;
        bind(&socket, address)?;
    }
    Ok(socket)
}

pub(crate) fn mark(socket: &Socket, mark: Option<u32>) -> Result<(), Outcome> {
    let Some(mark) = mark else { return Ok(()) };
    socket.set_mark(mark).map_err(|error| failure::own(&error, &format!("set fwmark {mark}")))
}

pub(crate) fn bind(socket: &Socket, address: IpAddr) -> Result<(), Outcome> {
    socket
        .bind(&SocketAddr::new(address, 0).into())
        .map_err(|error| failure::own(&error, &format!("bind to {address}")))
}

/// Without this a socket that has no connection does not hear that a host or a network cannot be reached.
fn hear_errors(socket: &Socket, target: &Target) -> Result<(), Outcome> {
    let (level, name) = match target.address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVERR),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    turn_on(socket, level, name).map_err(|error| failure::own(&error, "set IP_RECVERR"))
}

/// Options that socket2 has no name for.
#[allow(unsafe_code)]
fn turn_on(socket: &Socket, level: libc::c_int, name: libc::c_int) -> std::io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is a C int that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
