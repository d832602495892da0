//! What others are told of links: once, and again when it has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ledger::Ledger;
use super::macvlan::Macvlan;
use crate::Tracked;
use crate::io::inbox::Told;
use crate::io::links::Links;
use crate::io::{Inbox, Link};

pub(super) struct Published {
    inbox: Inbox,
    watched: BTreeSet<Arc<str>>,
    /// What was told last.
    links: BTreeMap<Arc<str>, Link>,
    devices: BTreeMap<Arc<str>, u32>,
    states: BTreeMap<Arc<str>, bool>,
}

impl Published {
    pub(super) fn new(inbox: Inbox) -> Self {
        let (watched, links) = (BTreeSet::new(), BTreeMap::new());
        Self { inbox, watched, links, devices: BTreeMap::new(), states: BTreeMap::new() }
    }

    pub(super) fn watch(&mut self, interfaces: BTreeSet<Arc<str>>) {
        self.states.retain(|interface, _| interfaces.contains(interface));
        self.watched = interfaces;
    }

    pub(super) fn update(&mut self, ledger: &Ledger, links: &Links) {
        for interface in ledger.interfaces() {
            let link = link(&interface, ledger, links);
            if self.links.get(&interface) != Some(&link) {
                self.inbox.link(link.clone());
                self.links.insert(interface, link);
            }
        }
        for (router, device) in devices(ledger, links) {
            if self.devices.get(&router).copied().unwrap_or(0) != device {
                self.inbox.device(Arc::clone(&router), device);
                self.devices.insert(router, device);
            }
        }
        for interface in &self.watched {
            let up = links.named(interface).is_some_and(|link| link.up);
            if self.states.insert(Arc::clone(interface), up) != Some(up) {
                let state = if up { Tracked::Up } else { Tracked::Down };
                self.inbox.tell(Told::Track { key: format!("interface {interface}").into(), state });
            }
        }
    }
}

fn link(interface: &Arc<str>, ledger: &Ledger, links: &Links) -> Link {
    let interface = Arc::clone(interface);
    match links.named(&interface) {
        Some(link) => {
            let sources = link.sources(|address| ledger.find(&interface, address).is_some());
            Link { interface, index: link.index, up: link.up, sources }
        }
        None => Link { interface, index: 0, up: false, sources: Vec::new() },
    }
}

/// By which device each router's adverts leave: its macvlan while that is up.
fn devices(ledger: &Ledger, links: &Links) -> impl Iterator<Item = (Arc<str>, u32)> {
    ledger.routers().map(|(router, holding)| {
        let macvlan = Macvlan::of(holding).and_then(|macvlan| links.named(&macvlan.name));
        let device = macvlan.filter(|link| link.up).map_or(0, |link| link.index);
        (Arc::clone(router), device)
    })
}
