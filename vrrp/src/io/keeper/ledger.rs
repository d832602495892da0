//! What is to be here and what is not: a level, from which everything else follows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::macvlan::Macvlan;
use super::object::{self, Address, Object};
use crate::holding::Holding;

/// Routers by name, each with what belongs to it.
pub(super) type Holdings = BTreeMap<Arc<str>, Arc<Holding>>;

/// The holdings of all routers.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    configured: Holdings,
    /// Of the Active routers, as they were when they were told to hold.
    held: Holdings,
    /// The addresses of both by interface, without those of owners.
    addresses: BTreeMap<Arc<str>, BTreeMap<IpAddr, Address>>,
}

impl Ledger {
    /// What routers would hold from now on; the Active ones with what they have held until now. What one holds that
    /// is not there any more, or is another one now, is held until it is released.
    pub(super) fn configure(&mut self, holdings: Holdings) -> Vec<(Arc<str>, Arc<Holding>)> {
        self.configured = holdings;
        let followed: Vec<_> = self
            .held
            .iter()
            .filter(|(router, held)| self.configured.get(*router).is_some_and(|new| is_same(held, new)))
            .map(|(router, _)| Arc::clone(router))
            .collect();
        let followed = followed.iter().filter_map(|router| self.hold(router)).collect();
        self.index();
        followed
    }

    /// The router, with what it has held until now.
    pub(super) fn hold(&mut self, router: &Arc<str>) -> Option<(Arc<str>, Arc<Holding>)> {
        let holding = self.configured.get(router)?;
        let is_known = self.held.get(router).is_none_or(|held| held == holding);
        let before = self.held.insert(Arc::clone(router), Arc::clone(holding));
        if !is_known {
            self.index();
        }
        Some((Arc::clone(router), before?))
    }

    /// The router, with what it has held until now.
    pub(super) fn release(&mut self, router: &str) -> Option<(Arc<str>, Arc<Holding>)> {
        let released = self.held.remove_entry(router)?;
        if self.configured.get(router) != Some(&released.1) {
            self.index();
        }
        Some(released)
    }

    /// What a router holds now.
    pub(super) fn held(&self, router: &str) -> Option<&Arc<Holding>> {
        self.held.get(router)
    }

    /// What a router would hold.
    pub(super) fn configured(&self, router: &str) -> Option<&Arc<Holding>> {
        self.configured.get(router)
    }

    /// Everything that is to be here, each with a router that wants it.
    pub(super) fn wanted(&self) -> BTreeMap<Object, Arc<str>> {
        objects(&self.held).collect()
    }

    /// Everything that is known and not to be here, each with a router that would hold it.
    pub(super) fn unwanted(&self) -> BTreeMap<Object, Arc<str>> {
        self.surplus(objects(&self.configured))
    }

    /// What of this is not to be here: nobody holds it, and it is not an owner's own.
    pub(super) fn surplus(
        &self,
        objects: impl Iterator<Item = (Object, Arc<str>)>,
    ) -> BTreeMap<Object, Arc<str>> {
        let wanted = self.wanted();
        let owned: BTreeSet<_> = self
            .all()
            .filter(|holding| holding.owner)
            .flat_map(|holding| object::addresses(holding).map(Object::Address))
            .collect();
        objects.filter(|(object, _)| !wanted.contains_key(object) && !owned.contains(object)).collect()
    }

    /// The macvlans that are to exist, up or down, each with its router.
    pub(super) fn macvlans(&self) -> BTreeMap<Macvlan, Arc<str>> {
        self.configured
            .iter()
            .chain(&self.held)
            .filter_map(|(name, holding)| Some((Macvlan::of(holding)?, Arc::clone(name))))
            .collect()
    }

    /// The virtual address on an interface, unless it is its owner's.
    pub(super) fn find(&self, interface: &str, address: IpAddr) -> Option<&Address> {
        self.addresses.get(interface)?.get(&address)
    }

    /// The interfaces of all routers.
    pub(super) fn interfaces(&self) -> BTreeSet<Arc<str>> {
        self.all().map(|holding| Arc::clone(&holding.interface)).collect()
    }

    /// Whether anything that is held is, or would be, on an interface.
    pub(super) fn uses(&self, interface: &str) -> bool {
        self.all().any(|holding| {
            let others = holding.addresses.iter().filter_map(|held| held.interface.as_deref());
            let routes = holding.routes.iter().filter_map(|route| route.interface.as_deref());
            let macvlan = Macvlan::of(holding);
            *holding.interface == *interface
                || macvlan.is_some_and(|macvlan| *macvlan.name == *interface)
                || others.chain(routes).any(|other| other == interface)
        })
    }

    /// The addresses of which packets are dropped.
    pub(super) fn refused(&self) -> BTreeSet<IpAddr> {
        let refused = self.all().filter(|holding| !holding.accept);
        refused.flat_map(|holding| &holding.addresses).map(|held| held.address).collect()
    }

    /// All routers, those that hold something with what they hold.
    pub(super) fn routers(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Holding>)> {
        let idle = self.configured.iter().filter(|(router, _)| !self.held.contains_key(*router));
        self.held.iter().chain(idle)
    }

    fn index(&mut self) {
        let mut addresses: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for address in
            self.all().filter(|holding| !holding.owner).flat_map(|holding| object::addresses(holding))
        {
            let of_interface = addresses.entry(Arc::clone(&address.interface)).or_default();
            of_interface.entry(address.address).or_insert(address);
        }
        self.addresses = addresses;
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Holding>> {
        self.configured.values().chain(self.held.values())
    }
}

/// Whether both belong to one virtual router.
fn is_same(one: &Holding, other: &Holding) -> bool {
    let is_ipv6 = |holding: &Holding| holding.addresses.first().map(|held| held.address.is_ipv6());
    one.interface == other.interface && one.router_id == other.router_id && is_ipv6(one) == is_ipv6(other)
}

/// What belongs to holdings, each thing with its router.
pub(super) fn objects<'a>(
    holdings: impl IntoIterator<Item = (&'a Arc<str>, &'a Arc<Holding>)>,
) -> impl Iterator<Item = (Object, Arc<str>)> {
    holdings
        .into_iter()
        .flat_map(|(name, holding)| object::of(holding).map(move |object| (object, Arc::clone(name))))
}

#[cfg(test)]
mod tests;
