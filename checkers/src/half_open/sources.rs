//! The addresses that our packets come from, as our routing table has them. Each probe keeps its own until the kernel
//! tells of any change: asking for each check anew would cost as much as a sixth of it.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, connect_unspec, getsockname, recv, socket_with,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{Outcome, Target, failure, socket};

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
    /// How often anything has changed; never 0.
    epoch: u32,
    /// Those of this epoch.
    addresses: Vec<IpAddr>,
    /// Nothing has changed since then for this batch.
    is_current: bool,
}

/// What one destination's was, in few bytes, for every probe keeps one: in which epoch, none at first, and where among
/// the addresses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Source {
    epoch: u32,
    place: u32,
}

impl Sources {
    /// For packets of one family with this mark.
    pub(super) fn open(v4: bool, mark: Option<u32>) -> Result<Self, Outcome> {
        let own = |error| failure::own(&error, "watch the addresses and routes of this system");
        let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
        let router = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP)).map_err(own)?;
        socket::mark(&router, mark)?;
        let changes = changes().map_err(|error| own(error.into()))?;
        Ok(Self { router, changes, epoch: 1, addresses: Vec::new(), is_current: false })
    }

    /// To be called after a batch of questions.
    pub(super) fn doubt(&mut self) {
        self.is_current = false;
    }

    fn renew(&mut self) {
        self.is_current = true;
        for _ in 0..NOTICES {
            match recv(&self.changes, &mut [0; 16], RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) => return,
                // Among the errors is that notices were lost.
                Ok(_) | Err(_) => {
                    self.epoch = self.epoch.wrapping_add(1).max(1);
                    self.addresses.clear();
                }
            }
        }
    }

    /// The address that our routing table would have us use for `target`, of which this is known.
    pub(super) fn of(&mut self, target: &Target, known: &mut Source) -> Result<IpAddr, Outcome> {
        if !self.is_current {
            self.renew();
        }
        let current = self.addresses.get(known.place as usize).filter(|_| known.epoch == self.epoch);
        if let Some(address) = target.bind.or(current.copied()) {
            return Ok(address);
        }
        // It would keep the address that it had the last time.
        let _ = connect_unspec(&self.router);
        self.router
            .connect(&target.address.into())
            .map_err(|error| failure::connect(&error, target.address))?;
        let local = getsockname(&self.router).ok().and_then(|local| SocketAddr::try_from(local).ok());
        let source = local.ok_or_else(|| Outcome::NotRun("no local address of ours".to_owned()))?.ip();
        let place = self.addresses.iter().position(|it| *it == source).unwrap_or_else(|| {
            self.addresses.push(source);
            self.addresses.len() - 1
        });
        *known = Source { epoch: self.epoch, place: place as u32 };
        Ok(source)
    }
}

/// Hears of each.
fn changes() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Without a number the protocol is NETLINK_ROUTE.
    let changes = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&changes, &SocketAddrNetlink::new(0, CHANGES))?;
    Ok(changes)
}
