//! The addresses that our packets come from, as our routing table has them. Each probe keeps its own until the kernel
//! tells of any change: asking for each check anew would cost as much as a sixth of it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, connect_unspec, getsockname, recv, socket_with,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{Outcome, Target, failure};

/// Changes of links, addresses, routes and rules (rtnetlink(7)), as bits.
const CHANGES: u32 = group(libc::RTNLGRP_LINK)
    | group(libc::RTNLGRP_IPV4_IFADDR)
    | group(libc::RTNLGRP_IPV4_ROUTE)
    | group(libc::RTNLGRP_IPV4_RULE)
    | group(libc::RTNLGRP_IPV6_IFADDR)
    | group(libc::RTNLGRP_IPV6_ROUTE)
    | group(libc::RTNLGRP_IPV6_RULE);
/// Notices that are taken at once.
const NOTICES: usize = 1000;

const fn group(number: u32) -> u32 {
    1 << (number - 1)
}

#[derive(Debug)]
pub(super) struct Sources {
    /// Asks our routing table: it connects and sends nothing.
    router: Socket,
    changes: OwnedFd,
    /// How often anything has changed.
    epoch: u32,
}

/// What one destination's was, and in which epoch of its socket; none at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Source(Option<(u32, IpAddr)>);

impl Sources {
    /// For one family. The mark is for the caller to set.
    pub(super) fn open(domain: Domain) -> io::Result<Self> {
        let router = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Without a number the protocol is NETLINK_ROUTE.
        let changes = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&changes, &SocketAddrNetlink::new(0, CHANGES))?;
        Ok(Self { router, changes, epoch: 0 })
    }

    pub(super) fn router(&self) -> &Socket {
        &self.router
    }

    /// To be called before a batch of questions.
    pub(super) fn renew(&mut self) {
        for _ in 0..NOTICES {
            match recv(&self.changes, &mut [0; 16], RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) => return,
                // Among the errors is that notices were lost.
                Ok(_) | Err(_) => self.epoch = self.epoch.wrapping_add(1),
            }
        }
    }

    /// The address that our routing table would have us use for `target`, of which this is known.
    pub(super) fn of(&self, target: &Target, known: &mut Source) -> Result<IpAddr, Outcome> {
        let current = known.0.filter(|(epoch, _)| *epoch == self.epoch).map(|(_, address)| address);
        if let Some(address) = target.bind.or(current) {
            return Ok(address);
        }
        // It would keep the address that it had the last time.
        let _ = connect_unspec(&self.router);
        self.router
            .connect(&target.address.into())
            .map_err(|error| failure::connect(&error, target.address))?;
        let local = getsockname(&self.router).ok().and_then(|local| SocketAddr::try_from(local).ok());
        let source = local.ok_or_else(|| Outcome::NotRun("no local address of ours".to_owned()))?.ip();
        *known = Source(Some((self.epoch, source)));
        Ok(source)
    }
}
