//! The kernel, asked to have things and not to have them. Each can be asked for again and again.

mod macvlans;
mod troubles;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use rustix::io::Errno;

use super::ledger::Ledger;
use super::macvlan::{self, Macvlan};
use super::object::{self, NoInterface, Object};
use super::report::{Report, Reports};
use crate::holding::Holding;
use crate::io::links::Links;
use crate::io::netlink::{self, Monitor, Netlink, Notice, Request};
use troubles::Troubles;

/// Things, each with the router that it belongs to.
pub(super) type Objects = BTreeMap<Object, Arc<str>>;

pub(super) struct Kernel {
    pub(super) links: Links,
    pub(super) monitor: Monitor,
    netlink: Netlink,
    reports: Reports,
    /// What is there, as far as we know, with the index of the interface where it was put.
    present: BTreeMap<Object, u32>,
    troubles: Troubles,
    /// What could not be taken off.
    remains: Objects,
    macvlans: BTreeSet<Macvlan>,
    /// What was changed at the interfaces below macvlans, as it was before.
    settled: BTreeMap<Arc<str>, [u32; 2]>,
}

impl Kernel {
    pub(super) fn open(reports: Reports) -> io::Result<Self> {
        let mut this = Self {
            links: Links::default(),
            monitor: Monitor::open()?,
            netlink: Netlink::open()?,
            present: BTreeMap::new(),
            troubles: Troubles::new(reports.clone()),
            remains: BTreeMap::new(),
            macvlans: BTreeSet::new(),
            settled: BTreeMap::new(),
            reports,
        };
        this.read_all()?;
        Ok(this)
    }

    /// Reads links and addresses as a whole.
    pub(super) fn read_all(&mut self) -> io::Result<()> {
        let mut links = Links::default();
        self.netlink
            .dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |notice| links.apply(notice))?;
        self.netlink
            .dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()), |notice| links.apply(notice))?;
        self.links = links;
        Ok(())
    }

    /// Takes in what has changed; whether there may be something to be done about it.
    pub(super) fn take_notices(&mut self, ledger: &Ledger) -> io::Result<bool> {
        let mut matters = false;
        loop {
            match self.monitor.read() {
                Ok(None) => return Ok(matters),
                Ok(Some(notices)) => {
                    for notice in notices {
                        let before = self.links.name(notice.index());
                        self.links.apply(notice.clone());
                        let after = self.links.name(notice.index());
                        // Both names of one that was renamed.
                        matters = matters
                            || before.is_some_and(|name| self.matters(&notice, &name, ledger))
                            || after.is_some_and(|name| self.matters(&notice, &name, ledger));
                    }
                }
                Err(error) if is_overrun(&error) => {
                    self.discard_notices()?;
                    self.read_all()?;
                    matters = true;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Those that wait while later ones were lost say what was once.
    fn discard_notices(&mut self) -> io::Result<()> {
        loop {
            match self.monitor.read() {
                Ok(None) => return Ok(()),
                Ok(Some(_)) => {}
                Err(error) if is_overrun(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn matters(&self, notice: &Notice, interface: &str, ledger: &Ledger) -> bool {
        let present = |address| {
            let found = ledger.find(interface, address);
            found.map(|address| self.has(&Object::Address(address.clone())))
        };
        match notice {
            Notice::Link { .. } | Notice::LinkGone { .. } => ledger.uses(interface),
            Notice::Address { address, .. } => present(*address) == Some(false),
            Notice::AddressGone { address, .. } => present(*address) == Some(true),
        }
    }

    /// Whether it is there, as far as we know.
    pub(super) fn has(&self, object: &Object) -> bool {
        self.present.contains_key(object)
    }

    /// Begins to ask for everything: what does not fail again is nobody's trouble any more.
    pub(super) fn begin_check(&mut self) {
        self.troubles.age();
    }

    /// Whether something is still to be done.
    pub(super) fn is_behind(&self) -> bool {
        self.troubles.any()
    }

    /// Sees to it that things are there; those that were not. When they are asked for again that is reported.
    pub(super) fn put(&mut self, objects: &Objects, again: bool) -> Vec<Object> {
        let mut new = Vec::new();
        let places: Vec<_> = objects.keys().map(|object| object.index(&self.links)).collect();
        let requests = objects.keys().zip(&places);
        let outcomes = self.ask(requests.map(|(object, place)| Ok(object.add(place.clone()?))).collect());
        for (((object, router), place), outcome) in objects.iter().zip(places).zip(outcomes) {
            match outcome {
                Ok(()) | Err(Failure::Kernel(Errno::EXIST)) => {
                    self.present.insert(object.clone(), place.unwrap_or(0));
                    let was_not = outcome.is_ok() && !matches!(object, Object::Up(_));
                    let mended = self.troubles.over(object, router);
                    if was_not {
                        new.push(object.clone());
                    }
                    if was_not && again && !mended {
                        let (router, what) = (Arc::clone(router), object.to_string());
                        self.reports.send(Report::PutBack { router, what });
                    }
                }
                Err(failure) => {
                    if !self.is_stray(object) {
                        self.present.remove(object);
                    }
                    self.troubles.failed(object, router, &failure);
                }
            }
        }
        new
    }

    /// Sees to it that things are not there. What nobody has put there is reported.
    pub(super) fn take_off(&mut self, objects: &Objects) {
        // In the other order: what refers to an address goes before it.
        let objects = objects.iter().rev();
        let outcomes = self.ask(objects.clone().map(|(object, _)| self.removal(object)).collect());
        for ((object, router), outcome) in objects.zip(outcomes) {
            match outcome {
                Ok(()) => {
                    let ours = self.present.remove(object).is_some() || self.remains.contains_key(object);
                    if !ours && !matches!(object, Object::Up(_)) {
                        let (router, what) = (Arc::clone(router), object.to_string());
                        self.reports.send(Report::TakenOff { router, what });
                    }
                }
                Err(failure) if failure.is_absence() => {
                    self.present.remove(object);
                }
                Err(failure) => {
                    self.troubles.failed(object, router, &failure);
                    self.remains.insert(object.clone(), Arc::clone(router));
                    continue;
                }
            }
            self.remains.remove(object);
            self.troubles.over(object, router);
        }
    }

    /// Takes off what was put on an interface that has another name now.
    pub(super) fn take_off_strays(&mut self, wanted: &Objects) {
        let strays = wanted.iter().filter(|(object, _)| self.is_stray(object));
        let strays = strays.map(|(object, router)| (object.clone(), Arc::clone(router))).collect();
        self.take_off(&strays);
    }

    fn is_stray(&self, object: &Object) -> bool {
        self.place(object).is_some_and(|index| object.index(&self.links) != Ok(index))
    }

    /// Takes something off where it was put, whatever the name of that interface is now.
    fn removal(&self, object: &Object) -> Result<Request, NoInterface> {
        let index = self.place(object).map_or_else(|| object.index(&self.links), Ok)?;
        Ok(object.remove(index, &self.links))
    }

    /// The index of the interface where it was put, if that is there still.
    fn place(&self, object: &Object) -> Option<u32> {
        self.present.get(object).copied().filter(|index| self.links.get(*index).is_some())
    }

    /// Asks the kernel for everything that can be asked for.
    fn ask(&mut self, requests: Vec<Result<Request, NoInterface>>) -> Vec<Result<(), Failure>> {
        let possible: Vec<_> = requests.iter().filter_map(|request| request.as_ref().ok().cloned()).collect();
        let answers = self.netlink.exchange(&possible);
        let mut answers = answers.map(Vec::into_iter);
        requests
            .into_iter()
            .map(|request| match (request, &mut answers) {
                (Err(no_interface), _) => Err(Failure::NoInterface(no_interface)),
                (Ok(_), Ok(answers)) => answers.next().unwrap_or(Err(Errno::INTR)).map_err(Failure::Kernel),
                (Ok(_), Err(error)) => Err(Failure::from(&*error)),
            })
            .collect()
    }

    /// The requests that take off what belongs to a holding, as the kernel reads them: its macvlan, and everything if
    /// it is held.
    pub(super) fn farewell(&self, holding: &Holding, held: bool) -> Vec<u8> {
        let objects: Vec<_> =
            object::of(holding).filter(|object| held && !matches!(object, Object::Up(_))).collect();
        let removals = objects.iter().rev().filter_map(|object| self.removal(object).ok());
        let macvlan = Macvlan::of(holding);
        let before = self.settled.get(&holding.interface).filter(|_| macvlan.is_some());
        let settle = before.map(|before| macvlan::settle(&holding.interface, Some(*before)));
        let delete = macvlan.map(|macvlan| macvlan::delete(&macvlan.name));
        let mut bytes = Vec::new();
        for request in removals.chain(delete).chain(settle) {
            netlink::append(&mut bytes, &request, 0, 0);
        }
        bytes
    }

    /// What could not be taken off.
    pub(super) fn remains(&self) -> Objects {
        self.remains.clone()
    }
}

fn is_overrun(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NOBUFS)
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    NoInterface(NoInterface),
    #[error("{0}")]
    Kernel(Errno),
    #[error("{0}")]
    Other(String),
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        Self::Other(format!("netlink: {error}"))
    }
}

impl Failure {
    /// What was to be taken off is not there.
    fn is_absence(&self) -> bool {
        match self {
            Self::NoInterface(_) => true,
            Self::Kernel(errno) => {
                matches!(
                    *errno,
                    Errno::ADDRNOTAVAIL | Errno::SRCH | Errno::NOENT | Errno::NODEV | Errno::NXIO
                )
            }
            Self::Other(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
