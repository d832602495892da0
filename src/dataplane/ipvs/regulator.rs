//! Caps, enforced by the kernel's thresholds. Pure.
//!
//! The kernel closes a destination when a connection makes its entries, active and inactive, as many as the upper
//! threshold, and opens it when an entry expires and they are fewer than the lower one, or when the upper one is
//! raised. Entries of connections that have ended stay for up to two minutes. So thresholds follow the entries, many
//! times a second:
//!
//! ```text
//!   upper = lower = entries + room        room = cap − active + inactive entries to come until the next time
//! ```
//!
//! Without room a threshold is never raised, which would let one connection in each time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidegate_engine::Mode;
use tidegate_ipvs::Request;
use tidegate_ipvs::table as ipvs;

use super::meter::Meter;
use super::{Destinations, is_cleared, translate};
use crate::config::Protocol;
use crate::dataplane::table::{Destination, Service, ServiceKey, Table};

/// What is known of the destinations of virtual servers that are protected or observed.
#[derive(Debug, Default)]
pub(super) struct Regulator(BTreeMap<ServiceKey, BTreeMap<SocketAddr, Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    meter: Meter,
    /// In the kernel, as it was last read or set.
    upper: u32,
}

impl Regulator {
    /// Takes in the destinations of a service as they were read now, and forgets those that are no more.
    pub(super) fn read(&mut self, now: Instant, key: &ServiceKey, destinations: &Destinations) {
        let before = self.0.remove(key).unwrap_or_default();
        let known = destinations.iter().map(|(address, entry)| {
            let meter = match before.get(address) {
                Some(known) => known.meter.read(now, entry, bare(key, address)),
                None => Meter::new(now, entry, bare(key, address)),
            };
            (*address, Known { meter, upper: entry.destination.upper_threshold })
        });
        let known = known.collect();
        self.0.insert(*key, known);
    }

    /// Forgets services that are not among these, or not watched any more.
    pub(super) fn retain(&mut self, ours: &Table) {
        self.0.retain(|key, _| ours.get(key).is_some_and(|service| is_watched(service)));
    }

    pub(super) fn meter(&self, key: &ServiceKey, address: &SocketAddr) -> Option<&Meter> {
        Some(&self.0.get(key)?.get(address)?.meter)
    }

    /// The services whose thresholds have to be set anew: those that have caps, and those that had.
    pub(super) fn services<'a>(&'a self, ours: &'a Table) -> impl Iterator<Item = (ServiceKey, &'a Service)> {
        let has_caps = |service: &Service| service.destinations.values().any(|it| it.max_connections > 0);
        let had_caps = |key| self.0.get(key).is_some_and(|known| known.values().any(|it| it.upper > 0));
        ours.iter()
            .filter(move |(key, service)| is_regulated(key, service) && (has_caps(service) || had_caps(*key)))
            .map(|(key, service)| (*key, &**service))
    }

    /// Of them those that outlive the director.
    pub(super) fn to_lift(&self, ours: &Table) -> Vec<ServiceKey> {
        let services = self.services(ours).filter(|(_, service)| !is_cleared(service));
        services.map(|(key, _)| key).collect()
    }

    pub(super) fn has_work(&self, ours: &Table) -> bool {
        self.services(ours).next().is_some()
    }

    /// A destination in the kernel's terms, with the thresholds that it has there if those are regulated.
    pub(super) fn destination(
        &self,
        key: &ServiceKey,
        service: &Service,
        address: &SocketAddr,
        it: &Destination,
    ) -> Option<ipvs::Destination> {
        let destination = translate::destination(it)?;
        if !is_regulated(key, service) {
            return Some(destination);
        }
        let known = self.0.get(key).and_then(|known| known.get(address));
        Some(with_threshold(destination, known.map_or(it.max_connections, |known| known.upper)))
    }

    /// What sets the thresholds of a virtual server's services as caps and entries want them now, if they are looked at
    /// again after this time. Nothing for those that have them already. The thresholds count as set until they are read.
    pub(super) fn requests(
        &mut self,
        ours: &Table,
        services: &BTreeMap<ServiceKey, Destinations>,
        interval: Duration,
    ) -> Vec<Request> {
        // A real server has a place in each service, and one cap for all.
        let mut carried: BTreeMap<_, Carried> = BTreeMap::new();
        for (address, entry) in services.values().flatten() {
            let carried = carried.entry(address).or_default();
            carried.active += u64::from(entry.active);
            carried.places += 1;
        }
        let mut requests = Vec::new();
        for (key, destinations) in services {
            let Some((service, kernels)) = ours.get(key).zip(translate::key(key)) else { continue };
            for (address, entry) in destinations {
                let Some(wanted) = service.destinations.get(address) else { continue };
                let to_come = self.meter(key, address).map_or(0.0, |meter| meter.inflow(interval));
                let upper = upper(wanted.max_connections, entry, &carried[address], to_come);
                let destination = with_threshold(entry.destination, upper);
                if destination != entry.destination {
                    requests.push(Request::SetDestination(kernels, *address, destination));
                    let known = self.0.get_mut(key).and_then(|known| known.get_mut(address));
                    known.into_iter().for_each(|known| known.upper = upper);
                }
            }
        }
        requests
    }
}

/// What takes the thresholds of a service back.
pub(super) fn lift(key: &ServiceKey, destinations: &Destinations) -> Vec<Request> {
    let Some(key) = translate::key(key) else { return Vec::new() };
    let limited = destinations.iter().filter(|(_, it)| it.destination.upper_threshold > 0);
    let lifted = |(address, it): (&SocketAddr, &ipvs::DestinationEntry)| {
        Request::SetDestination(key, *address, with_threshold(it.destination, 0))
    };
    limited.map(lifted).collect()
}

/// Whether its destinations are to be known.
pub(super) fn is_watched(service: &Service) -> bool {
    service.attributes.overload != Mode::Off
}

/// Whether thresholds follow the entries.
pub(super) fn is_regulated(key: &ServiceKey, service: &Service) -> bool {
    service.attributes.overload == Mode::Protect && !all_are_inactive(key)
}

/// The kernel calls every entry of UDP inactive until it expires: thresholds mean them as they are.
pub(super) fn all_are_inactive(key: &ServiceKey) -> bool {
    matches!(key, ServiceKey::Address { protocol: Protocol::Udp, .. })
}

/// The bytes of a reset: 20 of TCP in 20 of IPv4 or 40 of IPv6. UDP has none.
fn bare(key: &ServiceKey, address: &SocketAddr) -> u64 {
    match address {
        _ if all_are_inactive(key) => 0,
        SocketAddr::V4(_) => 40,
        SocketAddr::V6(_) => 60,
    }
}

/// A real server in all services of a virtual server.
#[derive(Debug, Default)]
struct Carried {
    active: u64,
    places: u32,
}

fn upper(cap: u32, entry: &ipvs::DestinationEntry, carried: &Carried, to_come: f64) -> u32 {
    if cap == 0 {
        return 0;
    }
    let entries = entry.active.saturating_add(entry.inactive);
    let allowed = (f64::from(cap) + to_come.max(0.0)) as u64;
    match u32::try_from(allowed.saturating_sub(carried.active)).unwrap_or(u32::MAX) {
        0 => match entry.destination.upper_threshold {
            0 => entries.max(1),
            upper => upper.min(entries).max(1),
        },
        room => entries.saturating_add(room.div_ceil(carried.places.max(1))),
    }
}

fn with_threshold(destination: ipvs::Destination, threshold: u32) -> ipvs::Destination {
    ipvs::Destination { upper_threshold: threshold, lower_threshold: threshold, ..destination }
}
