//! The adapter to the kernel's IPVS.
//!
//! Ours are the services that the configuration names, and those that it named before in this run: whatever else is
//! in the kernel's table is somebody else's. An entry that a killed predecessor has left is found as it is and kept
//! with its connections.

mod count;
mod enforce;
mod meter;
mod regulator;
mod settings;
mod translate;

pub use settings::Leading;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tidegate_ipvs::table::{DestinationEntry, Key, ServiceEntry};
use tidegate_ipvs::{self as ipvs, Connection, Request};

use super::table::{Destination, Service, ServiceKey, Table};
use super::{Change, Counters, Dataplane, Error, Observed};
use crate::clock;
use crate::config::{self, OnStop};
use count::Counting;
use enforce::Enforcement;
use regulator::{Regulator, is_regulated, is_watched};

// For a whole table of 37,000 destinations on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(20);
// So long nothing else can be done while a large table is read.
const MOMENT: Duration = Duration::from_millis(20);

/// IPVS as a [`Dataplane`]. Asks nothing of the kernel until a virtual server or a setting wants it.
pub struct IpvsDataplane {
    settings: config::Ipvs,
    leading: Leading,
    /// Why the settings are not in force, if so.
    unsettled: Option<Error>,
    connection: Option<Connection>,
    /// As last desired.
    ours: Table,
    /// Of a look at the whole that is under way.
    unread: Option<Unread>,
    /// What has been counted so far, and of which services not yet: of all, and of those that are watched.
    counted: Option<Counting>,
    sampled: Option<Counting>,
    regulator: Regulator,
    enforcement: Enforcement,
}

/// As the kernel tells of them.
type Destinations = BTreeMap<SocketAddr, DestinationEntry>;

/// Services whose destinations are still to be read.
type Unread = std::vec::IntoIter<(ServiceKey, Key, ServiceEntry)>;

impl Default for IpvsDataplane {
    fn default() -> Self {
        Self::new(config::Ipvs::default(), Leading::default())
    }
}

impl Dataplane for IpvsDataplane {
    fn observe(&mut self, desired: &Table) -> Result<Observed, Error> {
        let (mut unread, missing) = match self.unread.take() {
            Some(unread) => (unread, BTreeSet::new()),
            None => {
                self.ours.extend(desired.iter().map(|(key, service)| (*key, Arc::clone(service))));
                self.settle();
                let services = self.services()?;
                let there: BTreeSet<_> = services.as_slice().iter().map(|(key, ..)| *key).collect();
                self.forget(desired, |key| there.contains(key));
                (services, self.ours.keys().filter(|key| !there.contains(key)).copied().collect())
            }
        };
        let read = self.read_on(&mut unread)?;
        let table = self.found(&read, |key| missing.contains(key) || read.contains_key(key));
        let is_last = unread.len() == 0;
        self.unread = (!is_last).then_some(unread);
        Ok(Observed { table, is_last })
    }

    /// The kernel has a question of its own for the destinations of each service, and thousands of them would hold up
    /// each change of a large table. So drift elsewhere is not found here but by the next `observe`.
    fn observe_changed(&mut self, desired: &Table) -> Result<Table, Error> {
        self.settle();
        let is_other = |(key, service): &(&ServiceKey, &Arc<Service>)| self.ours.get(*key) != Some(*service);
        let changed = desired.iter().filter(is_other).map(|(key, _)| *key);
        let gone = self.ours.keys().filter(|key| !desired.contains_key(*key)).copied();
        let changed: BTreeSet<_> = changed.chain(gone).collect();
        self.ours.extend(desired.iter().map(|(key, service)| (*key, Arc::clone(service))));
        let keys: Vec<_> = changed.iter().filter_map(translate::key).collect();
        // After an error the look begins anew: it may have passed by what has changed.
        let unread = self.unread.take();
        let mut actual =
            if keys.is_empty() { BTreeMap::new() } else { self.with(|connection| connection.read(&keys))? };
        self.unread = unread;
        let read = |key: &ServiceKey| Some((*key, actual.remove(&translate::key(key)?)?));
        let read: BTreeMap<_, _> = changed.iter().filter_map(read).collect();
        read.iter().for_each(|(key, entry)| self.know(key, &entry.destinations));
        self.forget(desired, |key| read.contains_key(key));
        Ok(self.found(&read, |key| changed.contains(key)))
    }

    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), Error>> {
        let requests: Vec<_> =
            changes.iter().map(|change| requests(change, &self.ours, &self.regulator)).collect();
        let flat: Vec<_> = requests.iter().flatten().flatten().cloned().collect();
        let mut outcomes = self.request(&flat).into_iter();
        let mut result = |requests: &Option<Vec<Request>>| match requests {
            None => Err(Error("IPVS cannot serve this".into())),
            Some(requests) => {
                let mine: Vec<_> = outcomes.by_ref().take(requests.len()).collect();
                mine.into_iter().collect()
            }
        };
        let results: Vec<Result<(), Error>> = requests.iter().map(&mut result).collect();
        for (change, result) in changes.iter().zip(&results) {
            if let (Change::RemoveService(key), Ok(())) = (change, result) {
                self.ours.remove(key);
            }
        }
        results
    }

    fn counters(&mut self) -> Poll<Option<Counters>> {
        let counted = self.counted.take().or_else(|| self.begin_to_count(|_| true));
        let answer;
        (self.counted, answer) = self.count_on(counted);
        answer
    }

    fn sample(&mut self) -> Poll<Option<Counters>> {
        if !self.ours.values().any(|service| is_watched(service)) {
            return Poll::Ready(Some(Counters::default()));
        }
        let sampled = self.sampled.take().or_else(|| self.begin_to_count(is_watched));
        let answer;
        (self.sampled, answer) = self.count_on(sampled);
        answer
    }

    fn regulate(&mut self) -> Option<Duration> {
        self.enforce()
    }

    fn stop_accepting(&mut self) {
        let quiesce = |key: &ServiceKey, service: &Service| {
            let put = |(address, it): (&SocketAddr, &Destination)| {
                let it = Destination { weight: 0, ..*it };
                let destination = self.regulator.destination(key, service, address, &it)?;
                Some(Request::PutDestination(translate::key(key)?, *address, destination))
            };
            service.destinations.iter().filter_map(put).collect::<Vec<_>>()
        };
        let requests: Vec<_> = self.to_clear().flat_map(|(key, service)| quiesce(key, service)).collect();
        self.request(&requests).into_iter().filter_map(Result::err).for_each(complain);
    }

    fn active(&mut self) -> Option<u64> {
        let keys: Vec<_> = self.to_clear().filter_map(|(key, _)| translate::key(key)).collect();
        if keys.is_empty() {
            return Some(0);
        }
        let entries = self.with(|connection| connection.read(&keys)).ok()?;
        let destinations = entries.values().flat_map(|entry| entry.destinations.values());
        Some(destinations.map(|it| u64::from(it.active)).sum())
    }

    fn is_whole(&self) -> bool {
        true
    }
}

impl Drop for IpvsDataplane {
    fn drop(&mut self) {
        // First what nobody else would put right.
        if let Err(error) = self.lift() {
            complain(error);
        }
        let remove = |(key, _): (&ServiceKey, &Service)| translate::key(key).map(Request::RemoveService);
        let requests: Vec<_> = self.to_clear().filter_map(remove).collect();
        self.request(&requests).into_iter().filter_map(Result::err).for_each(complain);
    }
}

impl IpvsDataplane {
    /// With what is the kernel's own and no virtual server's.
    pub fn new(settings: config::Ipvs, leading: Leading) -> Self {
        Self {
            settings,
            leading,
            unsettled: None,
            connection: None,
            ours: Table::new(),
            unread: None,
            counted: None,
            sampled: None,
            regulator: Regulator::default(),
            enforcement: Enforcement::default(),
        }
    }

    /// Holds the settings against drift. What is wrong with them keeps no virtual server from being served.
    fn settle(&mut self) {
        let (settings, leading) = (self.settings.clone(), self.leading.clone());
        if settings == config::Ipvs::default() {
            return;
        }
        let error = self.with(|connection| settings::apply(connection, &settings, &leading)).err();
        match &error {
            Some(error) if self.unsettled.as_ref() != Some(error) => {
                tracing::error!(%error, "the kernel's settings are not as configured; trying again");
            }
            None if self.unsettled.is_some() => tracing::info!("the kernel's settings are as configured"),
            _ => {}
        }
        self.unsettled = error;
    }

    /// What is, of ours; what was not read is as desired.
    fn found(
        &self,
        actual: &BTreeMap<ServiceKey, ServiceEntry>,
        was_read: impl Fn(&ServiceKey) -> bool,
    ) -> Table {
        let found = self.ours.iter().filter_map(|(key, wanted)| {
            if !was_read(key) {
                return Some((*key, Arc::clone(wanted)));
            }
            Some((*key, observed(key, wanted, actual.get(key)?)))
        });
        found.collect()
    }

    /// What is neither wanted any more nor there is nobody's: whoever makes it next is its owner.
    fn forget(&mut self, desired: &Table, is_there: impl Fn(&ServiceKey) -> bool) {
        self.ours.retain(|key, _| desired.contains_key(key) || is_there(key));
        self.regulator.retain(&self.ours);
    }

    /// Takes in what was read of a service just now.
    fn know(&mut self, key: &ServiceKey, destinations: &Destinations) {
        if self.ours.get(key).is_some_and(|service| is_watched(service)) {
            self.regulator.read(clock::now(), key, destinations);
        }
    }

    /// The services that do not outlive the director.
    fn to_clear(&self) -> impl Iterator<Item = (&ServiceKey, &Service)> {
        self.ours.iter().map(|(key, service)| (key, &**service)).filter(|(_, service)| is_cleared(service))
    }

    /// Those of ours that are there, without their destinations.
    fn services(&mut self) -> Result<Unread, Error> {
        let mut all = if self.ours.is_empty() { BTreeMap::new() } else { self.with(Connection::services)? };
        let mine = self.ours.keys().filter_map(|listen| {
            let key = translate::key(listen)?;
            Some((*listen, key, all.remove(&key)?))
        });
        Ok(mine.collect::<Vec<_>>().into_iter())
    }

    /// Reads the destinations of these services for a moment, at least of the first.
    fn read_on(&mut self, unread: &mut Unread) -> Result<BTreeMap<ServiceKey, ServiceEntry>, Error> {
        let mut read = BTreeMap::new();
        let end = clock::now() + MOMENT;
        for (listen, key, mut entry) in unread.by_ref() {
            entry.destinations = self.with(|connection| connection.destinations(&key))?;
            self.know(&listen, &entry.destinations);
            read.insert(listen, entry);
            if clock::now() >= end {
                break;
            }
        }
        Ok(read)
    }

    fn request(&mut self, requests: &[Request]) -> Vec<Result<(), Error>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let results = self.with(|connection| {
            let results = connection.apply(requests).into_iter();
            Ok(results.map(|result| result.map_err(|error| Error(error.to_string()))).collect::<Vec<_>>())
        });
        let results = results.unwrap_or_else(|error| vec![Err(error); requests.len()]);
        if results.iter().any(Result::is_err) {
            self.connection = None;
        }
        results
    }

    /// With a connection that is made anew after an error: answers may still be on their way in the old one.
    fn with<T>(&mut self, ask: impl FnOnce(&mut Connection) -> Result<T, ipvs::Error>) -> Result<T, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(TIMEOUT).map_err(|error| Error(error.to_string()))?,
        };
        let answer = ask(&mut connection).map_err(|error| Error(error.to_string()))?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

/// Whether it does not outlive the director.
fn is_cleared(service: &Service) -> bool {
    match &service.attributes.dataplane {
        config::Dataplane::Ipvs(options) => options.on_stop == OnStop::Clear,
        config::Dataplane::Proxy(_) => false,
    }
}

fn complain(error: Error) {
    tracing::warn!(%error, "the kernel's table is not as it should be at the end");
}

/// What brings a change about; none for what the configuration refuses to give to IPVS.
fn requests(change: &Change, ours: &Table, regulator: &Regulator) -> Option<Vec<Request>> {
    let listen = change.key();
    let key = translate::key(&listen)?;
    let put = |service: &Service, address: &SocketAddr, it: &Destination| {
        let destination = regulator.destination(&listen, service, address, it)?;
        Some(Request::PutDestination(key, *address, destination))
    };
    Some(match change {
        Change::AddService(_, service) => {
            let mut requests = vec![Request::PutService(key, translate::service(&key, &service.attributes)?)];
            for (address, it) in &service.destinations {
                requests.push(put(service, address, it)?);
            }
            requests
        }
        Change::SetAttributes(_, attributes) => {
            vec![Request::PutService(key, translate::service(&key, attributes)?)]
        }
        Change::RemoveService(_) => vec![Request::RemoveService(key)],
        Change::PutDestination(_, address, it) => vec![put(ours.get(&listen)?, address, it)?],
        Change::RemoveDestination(_, address) => vec![Request::RemoveDestination(key, *address)],
    })
}

/// What the kernel holds, in the terms of what is wanted: the same where it is the same to the kernel or where nothing
/// is decided yet, and something that is not wanted where it is not.
fn observed(key: &ServiceKey, wanted: &Arc<Service>, actual: &ServiceEntry) -> Arc<Service> {
    let mut attributes = wanted.attributes.clone();
    let same = translate::key(key).and_then(|key| translate::service(&key, &attributes)).as_ref()
        == Some(&actual.service);
    if !same {
        attributes.group = "".into();
    }
    let is_as = |it: &Destination, entry: &DestinationEntry| {
        let destination = translate::destination(it);
        // Thresholds that follow the traffic are nobody's drift.
        let thresholds = |it| ipvs::table::Destination {
            upper_threshold: entry.destination.upper_threshold,
            lower_threshold: entry.destination.lower_threshold,
            ..it
        };
        let destination = if is_regulated(key, wanted) { destination.map(thresholds) } else { destination };
        destination == Some(entry.destination)
    };
    let destination = |(address, entry): (&SocketAddr, &DestinationEntry)| {
        let it = match wanted.destinations.get(address) {
            Some(wanted) if is_as(wanted, entry) => *wanted,
            Some(wanted) if !wanted.decided => *wanted,
            Some(wanted) => Destination { alive: !wanted.alive, ..*wanted },
            None => Destination::new(entry.destination.weight),
        };
        (*address, it)
    };
    let there = actual.destinations.iter().map(destination);
    // While an entry that waits still serves, a sorry server that may have to go again at once is not let in.
    let serves = |(address, it): (&SocketAddr, &Destination)| {
        !it.decided && actual.destinations.get(address).is_some_and(|entry| entry.destination.weight > 0)
    };
    let holds_on = wanted.destinations.iter().any(serves);
    let waiting = wanted.destinations.iter().filter(|(_, it)| holds_on && !it.decided && it.weight > 0);
    let destinations = there.chain(waiting.map(|(address, it)| (*address, *it))).collect();
    let found = Service { attributes, destinations };
    if found == **wanted { Arc::clone(wanted) } else { Arc::new(found) }
}

#[cfg(test)]
mod tests;
