//! Listening sockets: all threads' sockets of one service are made at once, so that an error concerns the
//! service as a whole and is known before anything has changed.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use crate::{Protocol, ServiceKey, datagram};

/// The kernel lowers it to net.core.somaxconn.
pub(crate) const BACKLOG: i32 = 4096;

/// Why a service is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error("address already in use")]
    InUse,
    /// A port below net.ipv4.ip_unprivileged_port_start without CAP_NET_BIND_SERVICE.
    #[error("permission denied (a low port needs CAP_NET_BIND_SERVICE)")]
    Denied,
    /// Port 0 would be another port in each thread.
    #[error("port 0 cannot be listened on")]
    NoPort,
    /// Any other reason that the system gives.
    #[error("cannot listen: {0}")]
    System(Errno),
}

impl From<Errno> for ListenError {
    fn from(error: Errno) -> ListenError {
        match error {
            Errno::ADDRINUSE => ListenError::InUse,
            Errno::ACCESS | Errno::PERM => ListenError::Denied,
            other => ListenError::System(other),
        }
    }
}

/// `count` sockets that share the port among themselves and with nobody else.
pub(crate) fn open(key: ServiceKey, count: usize) -> Result<Vec<OwnedFd>, ListenError> {
    if key.listen.port() == 0 {
        return Err(ListenError::NoPort);
    }
    // SO_REUSEPORT would share the port silently with a second daemon of the same user. A socket without it
    // cannot be bound while anybody listens there.
    let probe = socket(key)?;
    bind(&probe, &key.listen)?;
    drop(probe);
    (0..count).map(|_| shared(key)).collect()
}

fn shared(key: ServiceKey) -> Result<OwnedFd, ListenError> {
    let socket = socket(key)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &key.listen)?;
    if key.protocol == Protocol::Tcp {
        // Accepted sockets inherit it.
        set_carrying(&socket)?;
        listen(&socket, BACKLOG)?;
    } else if key.listen.ip().is_unspecified() {
        datagram::tell_asked(&socket, key.listen)?;
    }
    Ok(socket)
}

fn socket(key: ServiceKey) -> Result<OwnedFd, ListenError> {
    let socket = new_socket(key.listen, key.protocol)?;
    match key.listen {
        // A VIP may be on the other director now.
        SocketAddr::V4(_) => sockopt::set_ip_freebind(&socket, true)?,
        SocketAddr::V6(_) => {
            sockopt::set_ipv6_v6only(&socket, true)?;
            sockopt::set_ipv6_freebind(&socket, true)?;
        }
    }
    if key.protocol == Protocol::Tcp {
        // For connections of an earlier process in TIME_WAIT; it does not let two listen. For UDP it would.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    Ok(socket)
}

/// What a socket that carries a connection needs: nothing waits to be sent with more, and urgent bytes stay
/// in their place among the others (RFC 6093 §5) instead of being lost.
pub(crate) fn set_carrying(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_oobinline(socket, true)
}

/// A socket that never blocks, of the family that `address` needs.
pub(crate) fn new_socket(address: SocketAddr, protocol: Protocol) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}
