//! Sockets whose checks have passed, for the next checks: to make and close one for each takes a quarter of a check's
//! CPU time.
//!
//! connect(2) dissolves a connection when it is told of no address, by the reset that closing would send. Whatever a
//! socket keeps after that is the same for all checks that it is given to.

use std::net::{IpAddr, SocketAddr};

use rustix::net::connect_unspec;
use socket2::Socket;

use crate::Target;

/// As many as are used again soon: a thread begins no more checks at a time.
const MOST: usize = super::thread::STARTS;

#[derive(Debug, Default)]
pub(super) struct Idle {
    sockets: Vec<(Kind, Socket)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    v4: bool,
    bind: Option<IpAddr>,
    fwmark: Option<u32>,
}

impl Idle {
    /// One for this target, which the epoll that it was opened with knows already.
    pub(super) fn take(&mut self, target: &Target) -> Option<Socket> {
        let kind = Kind::of(target)?;
        let place = self.sockets.iter().rposition(|(it, _)| *it == kind)?;
        Some(self.sockets.swap_remove(place).1)
    }

    /// Ends the connection to this target; keeps the socket if it is of use.
    pub(super) fn put(&mut self, target: &Target, socket: Socket) {
        if self.sockets.len() < MOST
            && let Some(kind) = Kind::of(target)
            && connect_unspec(&socket).is_ok()
        {
            self.sockets.push((kind, socket));
        }
    }

    pub(super) fn clear(&mut self) {
        self.sockets.clear();
    }
}

impl Kind {
    /// None where a socket keeps more of the target: that it speaks IPv4 for good, or its link.
    fn of(target: &Target) -> Option<Self> {
        let special = match target.address {
            SocketAddr::V4(_) => false,
            SocketAddr::V6(it) => it.ip().to_ipv4_mapped().is_some() || it.scope_id() != 0,
        };
        let &Target { address, bind, fwmark } = target;
        (!special).then_some(Self { v4: address.is_ipv4(), bind, fwmark })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_socket_keeps() {
        let kind =
            |address: &str| Kind::of(&Target { address: address.parse().unwrap(), bind: None, fwmark: None });
        assert_eq!(kind("192.0.2.1:80"), kind("192.0.2.2:443"));
        assert_eq!(kind("[2001:db8::1]:80"), kind("[2001:db8::2]:443"));
        assert_ne!(kind("192.0.2.1:80"), kind("[2001:db8::1]:80"));
        for address in ["[::ffff:192.0.2.1]:80", "[fe80::1%2]:80"] {
            assert_eq!(kind(address), None);
        }
        let target = Target { address: "192.0.2.1:80".parse().unwrap(), bind: None, fwmark: None };
        let bound = Target { bind: Some(target.address.ip()), ..target };
        let marked = Target { fwmark: Some(1), ..target };
        assert_ne!(Kind::of(&bound), Kind::of(&target));
        assert_ne!(Kind::of(&marked), Kind::of(&target));
    }

    #[test]
    fn no_more_than_are_used() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target { address: listener.local_addr().unwrap(), bind: None, fwmark: None };
        let mut idle = Idle::default();
        for _ in 0..=MOST {
            idle.put(&target, crate::socket::stream(&target).unwrap());
        }
        assert_eq!(idle.sockets.len(), MOST);
        let kept = std::iter::from_fn(|| idle.take(&target)).count();
        assert_eq!(kept, MOST);
    }
}
