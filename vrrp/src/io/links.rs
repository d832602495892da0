//! The links of this host and their addresses, as the kernel tells them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::netlink::Notice;

/// All links by index.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<u32, Interface>);

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) index: u32,
    pub(super) name: Arc<str>,
    /// Up, with a carrier.
    pub(super) up: bool,
    /// Where it has one as Ethernet has.
    pub(super) mac: Option<[u8; 6]>,
    /// In the kernel's order.
    addresses: Vec<Address>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Address {
    address: IpAddr,
    prefix: u8,
    flags: u32,
}

impl Links {
    /// Takes in what was noticed.
    pub(super) fn apply(&mut self, notice: Notice) {
        match notice {
            Notice::Link { index, name, flags, mac } => {
                let running = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
                let silent = (libc::IFF_LOOPBACK | libc::IFF_NOARP) as u32;
                let addresses = self.0.remove(&index).map(|old| old.addresses).unwrap_or_default();
                let up = flags & running == running;
                let mac = mac.filter(|_| flags & silent == 0);
                self.0.insert(index, Interface { index, name, up, mac, addresses });
            }
            Notice::LinkGone { index } => {
                self.0.remove(&index);
            }
            Notice::Address { index, address, prefix, flags } => {
                let Some(interface) = self.0.get_mut(&index) else { return };
                match interface.addresses.iter_mut().find(|old| old.is(address, prefix)) {
                    Some(old) => old.flags = flags,
                    None => interface.addresses.push(Address { address, prefix, flags }),
                }
            }
            Notice::AddressGone { index, address, prefix } => {
                let Some(interface) = self.0.get_mut(&index) else { return };
                interface.addresses.retain(|old| !old.is(address, prefix));
            }
        }
    }

    pub(super) fn name(&self, index: u32) -> Option<Arc<str>> {
        self.get(index).map(|interface| Arc::clone(&interface.name))
    }

    pub(super) fn get(&self, index: u32) -> Option<&Interface> {
        self.0.get(&index)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Interface> {
        self.0.values().find(|interface| &*interface.name == name)
    }
}

impl Interface {
    /// The addresses from which adverts may be sent, the best first, as [`crate::Input::Link`] wants them.
    pub(super) fn sources(&self, is_virtual: impl Fn(IpAddr) -> bool) -> Vec<IpAddr> {
        let usable = |address: &&Address| match address.address {
            IpAddr::V4(_) => !is_virtual(address.address),
            IpAddr::V6(v6) => {
                let unusable = libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED;
                v6.is_unicast_link_local() && address.flags & unusable == 0 && !is_virtual(address.address)
            }
        };
        let mut usable: Vec<_> = self.addresses.iter().filter(usable).collect();
        usable.sort_by_key(|address| address.address.is_ipv4() && address.flags & libc::IFA_F_SECONDARY != 0);
        usable.into_iter().map(|address| address.address).collect()
    }

    /// The prefix with which an address is here, this one if it is among several.
    pub(super) fn prefix(&self, address: IpAddr, preferred: u8) -> Option<u8> {
        let mut own = self.addresses.iter().filter(|own| own.address == address).map(|own| own.prefix);
        own.clone().find(|prefix| *prefix == preferred).or_else(|| own.next())
    }
}

impl Address {
    fn is(&self, address: IpAddr, prefix: u8) -> bool {
        self.address == address && self.prefix == prefix
    }
}

#[cfg(test)]
mod tests;
