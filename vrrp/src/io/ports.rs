//! The interfaces of the virtual routers: where adverts leave and where they are heard.
//!
//! What should be heard (each interface and family of a router) and what is there (the links) are levels; lines, each a
//! listener and a sender, follow from both. An interface that comes back with another index is another one. To the
//! machine an interface is there for a family once that is heard, so that nobody takes over who is deaf.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};

use super::Event;
use super::inbox::Link;
use super::outbox::{Errand, Outbox};
use super::socket::{Line, Listener, Sender};
use crate::Input;
use crate::config::{Family, Router};

/// From a failure to listen to the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// An interface's families that are to be heard, and the least TTL that is taken of any router there.
pub(super) type Wanted = BTreeMap<(Arc<str>, Family), u8>;

/// All interfaces that have been told of.
pub(super) struct Ports {
    ports: BTreeMap<Arc<str>, Port>,
    /// By which other device a router's adverts leave.
    devices: BTreeMap<Arc<str>, u32>,
    wanted: Wanted,
    epoll: Arc<OwnedFd>,
}

struct Port {
    link: Link,
    ears: BTreeMap<Family, Ear>,
    /// Families of which it has been told that they cannot be heard.
    deaf: BTreeSet<Family>,
    /// What the machine knows.
    told: Option<(bool, Vec<IpAddr>)>,
}

enum Ear {
    Asked,
    Open(Line),
    Failed { retry: Instant },
}

impl Ports {
    /// None; what there will be to hear wakes this epoll.
    pub(super) fn new(epoll: Arc<OwnedFd>) -> Self {
        Self { ports: BTreeMap::new(), devices: BTreeMap::new(), wanted: Wanted::new(), epoll }
    }

    pub(super) fn want(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }

    pub(super) fn set_device(&mut self, router: Arc<str>, index: u32) {
        match index {
            0 => self.devices.remove(&router),
            index => self.devices.insert(router, index),
        };
    }

    pub(super) fn set_link(&mut self, link: Link, outbox: &mut Outbox) {
        let name = link.interface.clone();
        match self.ports.get_mut(&name) {
            None => {
                let (ears, deaf) = Default::default();
                self.ports.insert(name, Port { link, ears, deaf, told: None });
            }
            Some(port) => {
                if port.link.index != link.index {
                    for ear in mem::take(&mut port.ears).into_values() {
                        close(ear, &self.epoll, outbox);
                    }
                }
                port.link = link;
            }
        }
    }

    /// What has become of [`Errand::Listen`].
    pub(super) fn set_listener(
        &mut self,
        now: Instant,
        interface: &Arc<str>,
        index: NonZeroU32,
        family: Family,
        outcome: io::Result<Line>,
        outbox: &mut Outbox,
    ) {
        let asked = |port: &&mut Port| {
            port.link.index == index.get() && matches!(port.ears.get(&family), Some(Ear::Asked))
        };
        let port = self.ports.get_mut(interface).filter(asked);
        let outcome = outcome.and_then(|line| {
            epoll::add(&*self.epoll, &line.listener, EventData::new_u64(0), EventFlags::IN)?;
            Ok(Ear::Open(line))
        });
        match (port, outcome) {
            (Some(port), Ok(open)) => {
                port.ears.insert(family, open);
                port.deaf.remove(&family);
            }
            (Some(port), Err(error)) => port.fail(now, family, error, outbox),
            // The interface was gone again before.
            (None, Ok(open)) => close(open, &self.epoll, outbox),
            (None, Err(_)) => {}
        }
    }

    /// A listener that does not work any more is opened again after a while.
    pub(super) fn drop_listener(
        &mut self,
        now: Instant,
        interface: &Arc<str>,
        family: Family,
        error: io::Error,
        outbox: &mut Outbox,
    ) {
        let Some(port) = self.ports.get_mut(interface) else { return };
        if let Some(ear) = port.ears.remove(&family) {
            close(ear, &self.epoll, outbox);
        }
        port.fail(now, family, error, outbox);
    }

    /// Has lines opened and closed; the links that are not as the machine knows them, as it should.
    pub(super) fn reconcile(&mut self, now: Instant, outbox: &mut Outbox) -> Vec<Input<'static>> {
        let mut changed = Vec::new();
        for (name, port) in &mut self.ports {
            for family in [Family::Ipv4, Family::Ipv6] {
                let least_ttl = self.wanted.get(&(name.clone(), family));
                let wanted = least_ttl.is_some();
                match (NonZeroU32::new(port.link.index), port.ears.remove(&family)) {
                    (Some(index), None) if wanted => {
                        port.ears.insert(family, ask(now, name, index, family, outbox));
                    }
                    (Some(index), Some(Ear::Failed { retry })) if wanted && retry <= now => {
                        port.ears.insert(family, ask(now, name, index, family, outbox));
                    }
                    (Some(_), Some(mut ear)) if wanted => {
                        if let (Ear::Open(line), Some(&least)) = (&mut ear, least_ttl) {
                            line.listener.set_least_ttl(least);
                        }
                        port.ears.insert(family, ear);
                    }
                    (_, Some(ear)) => close(ear, &self.epoll, outbox),
                    (_, None) => {}
                }
            }
            let state = port.state();
            if port.told.as_ref() != Some(&state) {
                let (up, sources) = state.clone();
                changed.push(Input::Link { interface: name.clone(), up, sources });
                port.told = Some(state);
            }
        }
        changed
    }

    /// When listeners are to be opened again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let ears = self.ports.values().flat_map(|port| port.ears.values());
        ears.filter_map(|ear| if let Ear::Failed { retry } = ear { Some(*retry) } else { None }).min()
    }

    /// Everything that is heard.
    pub(super) fn listeners(&self) -> impl Iterator<Item = (&Arc<str>, &Listener)> {
        self.ports.iter().flat_map(|(name, port)| {
            port.ears.values().filter_map(move |ear| {
                if let Ear::Open(line) = ear { Some((name, &line.listener)) } else { None }
            })
        })
    }

    /// What sends a router's adverts.
    pub(super) fn sender(&self, router: &Router) -> Option<&Sender> {
        match self.ports.get(&router.interface)?.ears.get(&router.family)? {
            Ear::Open(line) => Some(&line.sender),
            Ear::Asked | Ear::Failed { .. } => None,
        }
    }

    /// The index of the device by which a router's adverts leave; 0: there is none.
    pub(super) fn device(&self, router: &Router) -> u32 {
        let own = || self.ports.get(&router.interface).map_or(0, |port| port.link.index);
        self.devices.get(&router.name).copied().unwrap_or_else(own)
    }

    /// From which address a router's adverts are sent.
    pub(super) fn source(&self, router: &Router) -> Option<IpAddr> {
        let first = || {
            let mut sources = self.ports.get(&router.interface)?.link.sources.iter().copied();
            sources.find(|source| Family::of(*source) == router.family)
        };
        router.source.or_else(first)
    }
}

impl Port {
    /// A family cannot be heard: this is told once until it can.
    fn fail(&mut self, now: Instant, family: Family, error: io::Error, outbox: &mut Outbox) {
        self.ears.insert(family, Ear::Failed { retry: now + RETRY });
        if self.deaf.insert(family) {
            let interface = self.link.interface.clone();
            outbox.put(Errand::Tell(Event::ListenFailed { interface, family, error }));
        }
    }

    fn state(&self) -> (bool, Vec<IpAddr>) {
        let heard = |family| matches!(self.ears.get(&family), Some(Ear::Open(_)));
        let sources = self.link.sources.iter().copied().filter(|source| heard(Family::of(*source)));
        (self.link.up && self.link.index != 0, sources.collect())
    }
}

fn ask(now: Instant, interface: &Arc<str>, index: NonZeroU32, family: Family, outbox: &mut Outbox) -> Ear {
    let errand = Errand::Listen { interface: interface.clone(), index, family };
    if outbox.put(errand) { Ear::Asked } else { Ear::Failed { retry: now + RETRY } }
}

fn close(ear: Ear, epoll: &OwnedFd, outbox: &mut Outbox) {
    if let Ear::Open(line) = ear {
        // Not when it is closed: the clerk may be late.
        let _was_in_it = epoll::delete(epoll, &line.listener);
        outbox.put(Errand::Close(line));
    }
}
