//! Connections of checks, and what stands for them where there are none.

use std::net::{SocketAddr, TcpStream as StdStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use crate::{Outcome, Target, failure};

/// Opens a connection to the target, or says why there is none.
///
/// `connect(2)` is called here and not through tokio, because what it returns at once is our own routing table's
/// word and what comes later is the network's.
pub(crate) async fn connect(target: &Target) -> Result<TcpStream, Outcome> {
    let socket = open(target, Type::STREAM, Protocol::TCP)?;
    // Closed by a reset: with tens of thousands of checks a second, TIME_WAIT would use up the local ports.
    socket.set_linger(Some(Duration::ZERO)).map_err(|error| failure::own(&error, "set SO_LINGER"))?;
    socket.set_tcp_nodelay(true).map_err(|error| failure::own(&error, "set TCP_NODELAY"))?;
    dial(&socket, target)?;
    let stream = TcpStream::from_std(StdStream::from(socket))
        .map_err(|error| failure::own(&error, "watch a socket"))?;
    stream.writable().await.map_err(|error| failure::own(&error, "watch a socket"))?;
    match stream.take_error() {
        Ok(None) => Ok(stream),
        Ok(Some(error)) | Err(error) => Err(failure::connecting(&error)),
    }
}

/// A UDP socket that sends to the target and receives only from there.
pub(crate) fn datagram(target: &Target) -> Result<Socket, Outcome> {
    let socket = open(target, Type::DGRAM, Protocol::UDP)?;
    dial(&socket, target)?;
    Ok(socket)
}

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
    if let Some(mark) = target.fwmark {
        socket.set_mark(mark).map_err(|error| failure::own(&error, &format!("set fwmark {mark}")))?;
    }
    if let Some(address) = target.bind {
        bind_without_port(&socket)?;
        socket
            .bind(&SocketAddr::new(address, 0).into())
            .map_err(|error| failure::own(&error, &format!("bind to {address}")))?;
    }
    Ok(socket)
}

/// Leaves the choice of the port to `connect(2)`, which can give one port to connections with different peers.
#[allow(unsafe_code)]
fn bind_without_port(socket: &Socket) -> Result<(), Outcome> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is a C int that outlives the call. socket2 has no name for this option.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(failure::own(&std::io::Error::last_os_error(), "set IP_BIND_ADDRESS_NO_PORT")),
    }
}
