//! Macvlans, and what the interfaces below them need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Failure, Kernel};
use crate::io::keeper::macvlan::{self, Macvlan};
use crate::io::keeper::object::NoInterface;
use crate::io::netlink::Request;

impl Kernel {
    /// Sees to it that these exist, each of a router, and none that was wanted before. One that is made is among the
    /// links once its notice has been taken in.
    pub(in crate::io::keeper) fn have_macvlans(&mut self, wanted: &BTreeMap<Macvlan, Arc<str>>) {
        let unwanted = self.macvlans.iter().filter(|macvlan| !wanted.contains_key(macvlan));
        for macvlan in unwanted.cloned().collect::<Vec<_>>() {
            let _gone_with_its_parent = self.change(&[macvlan::delete(&macvlan.name)]);
            self.macvlans.remove(&macvlan);
        }
        for (macvlan, router) in wanted {
            let there = self.links.named(&macvlan.name).is_some();
            if there && self.macvlans.contains(macvlan) {
                continue;
            }
            match self.make(macvlan, there) {
                Ok(()) => {
                    self.macvlans.insert(macvlan.clone());
                    self.troubles.over(macvlan, router);
                }
                Err(failure) => self.troubles.failed(macvlan, router, &failure),
            }
        }
        self.settle(wanted);
    }

    /// Makes it, in place of one that a predecessor has left: who knows what it is like.
    fn make(&mut self, macvlan: &Macvlan, in_place: bool) -> Result<(), Failure> {
        let Some(parent) = self.links.named(&macvlan.parent).map(|parent| parent.index) else {
            return Err(Failure::NoInterface(NoInterface(Arc::clone(&macvlan.parent))));
        };
        if in_place {
            self.change(&[macvlan::delete(&macvlan.name)])?;
        }
        self.change(&macvlan.create(parent))
    }

    /// Lets the interfaces below macvlans of IPv4 speak ARP for themselves only, and others as they did before.
    fn settle(&mut self, wanted: &BTreeMap<Macvlan, Arc<str>>) {
        let parents: BTreeMap<_, _> = wanted
            .iter()
            .filter(|(macvlan, _)| macvlan.is_ipv4() && self.macvlans.contains(macvlan))
            .map(|(macvlan, router)| (Arc::clone(&macvlan.parent), Arc::clone(router)))
            .collect();
        let unwanted: BTreeSet<_> =
            self.settled.keys().filter(|parent| !parents.contains_key(*parent)).cloned().collect();
        for parent in unwanted {
            let before = self.settled.remove(&parent);
            let _gone = self.change(&[macvlan::settle(&parent, before)]);
        }
        for (parent, router) in parents {
            if self.settled.contains_key(&parent) {
                continue;
            }
            let what = format!("ARP settings of {parent}");
            let done = macvlan::settled(&parent).map_err(|error| Failure::Other(error.to_string()));
            match done.and_then(|before| self.change(&[macvlan::settle(&parent, None)]).map(|()| before)) {
                Ok(before) => {
                    self.settled.insert(parent, before);
                    self.troubles.over(&what, &router);
                }
                Err(failure) => self.troubles.failed(&what, &router, &failure),
            }
        }
    }

    /// Changes made one after the other, all or up to the first that fails.
    fn change(&mut self, requests: &[Request]) -> Result<(), Failure> {
        for request in requests {
            let answers = self.netlink.exchange(std::slice::from_ref(request));
            answers
                .map_err(|error| Failure::from(&error))?
                .into_iter()
                .try_for_each(|answer| answer.map_err(Failure::Kernel))?;
        }
        Ok(())
    }
}
