//! The difference between what a dataplane holds and what it should hold, as an ordered list of changes. Pure.
//!
//! Invariants: applying the plan to what was observed gives what is desired; the plan between equal tables is
//! empty; no prefix of a plan leaves a service without a usable destination that has one at both ends, because
//! within a service all that adds comes before all that takes away.

use std::net::SocketAddr;
use std::sync::Arc;

use super::table::{Attributes, Destination, Service, ServiceKey, Table};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A service that was not there, with its whole pool.
    AddService(ServiceKey, Arc<Service>),
    /// Other attributes for a service that stays.
    SetAttributes(ServiceKey, Attributes),
    /// A service that is no longer wanted.
    RemoveService(ServiceKey),
    /// A destination that was not there, or other numbers for one that was.
    PutDestination(ServiceKey, SocketAddr, Destination),
    /// A destination that is no longer wanted.
    RemoveDestination(ServiceKey, SocketAddr),
}

impl Change {
    /// The service that is changed.
    pub fn key(&self) -> ServiceKey {
        match self {
            Self::AddService(key, _)
            | Self::SetAttributes(key, _)
            | Self::RemoveService(key)
            | Self::PutDestination(key, _, _)
            | Self::RemoveDestination(key, _) => *key,
        }
    }
}

/// The changes that turn `observed` into `desired`, in the order in which to make them.
pub fn plan(desired: &Table, observed: &Table) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, service) in desired {
        match observed.get(key) {
            None => changes.push(Change::AddService(*key, Arc::clone(service))),
            Some(actual) if Arc::ptr_eq(actual, service) => {}
            Some(actual) => plan_service(*key, service, actual, &mut changes),
        }
    }
    let removed = observed.keys().filter(|key| !desired.contains_key(key));
    changes.extend(removed.map(|key| Change::RemoveService(*key)));
    changes
}

fn plan_service(key: ServiceKey, desired: &Service, actual: &Service, changes: &mut Vec<Change>) {
    if desired.attributes != actual.attributes {
        changes.push(Change::SetAttributes(key, desired.attributes.clone()));
    }
    let differing = || {
        desired
            .destinations
            .iter()
            .filter(|(address, wanted)| actual.destinations.get(*address) != Some(*wanted))
    };
    let put = |(address, wanted): (&SocketAddr, &Destination)| Change::PutDestination(key, *address, *wanted);
    changes.extend(differing().filter(|(_, wanted)| wanted.weight > 0).map(put));
    changes.extend(differing().filter(|(_, wanted)| wanted.weight == 0).map(put));
    let gone = actual.destinations.keys().filter(|address| !desired.destinations.contains_key(*address));
    changes.extend(gone.map(|address| Change::RemoveDestination(key, *address)));
}

/// Makes one change in a table, for dataplanes that keep their own copy.
pub(super) fn apply(table: &mut Table, change: &Change) {
    let mut edit = |key: &ServiceKey, edit: &mut dyn FnMut(&mut Service)| {
        if let Some(service) = table.get_mut(key) {
            edit(Arc::make_mut(service));
        }
    };
    match change {
        Change::AddService(key, service) => {
            table.insert(*key, Arc::clone(service));
        }
        Change::SetAttributes(key, attributes) => {
            edit(key, &mut |service| service.attributes = attributes.clone());
        }
        Change::RemoveService(key) => {
            table.remove(key);
        }
        Change::PutDestination(key, address, destination) => edit(key, &mut |service| {
            service.destinations.insert(*address, *destination);
        }),
        Change::RemoveDestination(key, address) => edit(key, &mut |service| {
            service.destinations.remove(address);
        }),
    }
}

#[cfg(test)]
mod tests;
