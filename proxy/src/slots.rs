//! What outlives a table: the counters of services and destinations, and how many connections each
//! destination holds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cells::{Cell, PerThread};
use crate::{Counters, DestinationCounters, ServiceCounters, ServiceKey};

/// Destinations and services that have left the table and are remembered, so that their counters go on when
/// they come back. Bounded, because a director that runs for years sees any number of addresses.
const REMEMBERED: usize = 4096;

/// One destination within one group.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) address: SocketAddr,
    /// Over all threads, because a cap is exact.
    active: AtomicU64,
    pub(crate) cells: PerThread<DestinationCells>,
}

#[derive(Debug, Default)]
pub(crate) struct DestinationCells {
    pub(crate) begun: Cell,
    pub(crate) connections: Cell,
    pub(crate) connect_failures: Cell,
    pub(crate) bytes_in: Cell,
    pub(crate) bytes_out: Cell,
}

#[derive(Debug, Default)]
pub(crate) struct ServiceCells {
    pub(crate) accepted: Cell,
    pub(crate) no_destination: Cell,
    pub(crate) over_limit: Cell,
}

impl Slot {
    pub(crate) fn active(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    /// Takes one of `max` places (0: any number), for as long as the reservation lives.
    pub(crate) fn reserve(self: &Arc<Slot>, max: u32) -> Option<Reservation> {
        let room = |active: u64| (max == 0 || active < u64::from(max)).then_some(active + 1);
        self.active.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        Some(Reservation(Arc::clone(self)))
    }

    fn counters(&self) -> DestinationCounters {
        DestinationCounters {
            active: self.active(),
            begun: self.cells.sum(|cells| &cells.begun),
            connections: self.cells.sum(|cells| &cells.connections),
            connect_failures: self.cells.sum(|cells| &cells.connect_failures),
            bytes_in: self.cells.sum(|cells| &cells.bytes_in),
            bytes_out: self.cells.sum(|cells| &cells.bytes_out),
        }
    }
}

/// One connection's place at a destination, given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation(Arc<Slot>);

impl Reservation {
    pub(crate) fn slot(&self) -> &Slot {
        &self.0
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All slots, found by name when a table is compiled; never touched on the way of a connection.
#[derive(Debug)]
pub(crate) struct Slots {
    threads: usize,
    /// Of each group, in ascending order of address.
    destinations: BTreeMap<Arc<str>, Vec<Arc<Slot>>>,
    services: BTreeMap<ServiceKey, Arc<PerThread<ServiceCells>>>,
}

impl Slots {
    pub(crate) fn new(threads: usize) -> Slots {
        Slots { threads, destinations: BTreeMap::new(), services: BTreeMap::new() }
    }

    pub(crate) fn destination(&mut self, group: &Arc<str>, address: SocketAddr) -> Arc<Slot> {
        let slots = self.destinations.entry(Arc::clone(group)).or_default();
        let at = slots.binary_search_by_key(&address, |slot| slot.address).unwrap_or_else(|at| {
            let cells = PerThread::new(self.threads);
            slots.insert(at, Arc::new(Slot { address, active: AtomicU64::new(0), cells }));
            at
        });
        Arc::clone(&slots[at])
    }

    pub(crate) fn service(&mut self, key: ServiceKey) -> Arc<PerThread<ServiceCells>> {
        let threads = self.threads;
        Arc::clone(self.services.entry(key).or_insert_with(|| Arc::new(PerThread::new(threads))))
    }

    /// Forgets what neither a table nor a connection refers to, when there is too much of it.
    pub(crate) fn prune(&mut self) {
        let unused = |count: usize| count.saturating_sub(REMEMBERED);
        let slots = self.destinations.values().flatten();
        let mut surplus = unused(slots.filter(|slot| Arc::strong_count(slot) == 1).count());
        self.destinations.retain(|_, slots| {
            slots.retain(|slot| {
                let forget = surplus > 0 && Arc::strong_count(slot) == 1;
                surplus -= usize::from(forget);
                !forget
            });
            !slots.is_empty()
        });
        let mut surplus =
            unused(self.services.values().filter(|cells| Arc::strong_count(cells) == 1).count());
        self.services.retain(|_, cells| {
            let forget = surplus > 0 && Arc::strong_count(cells) == 1;
            surplus -= usize::from(forget);
            !forget
        });
    }

    pub(crate) fn counters(&self) -> Counters {
        let service = |cells: &PerThread<ServiceCells>| ServiceCounters {
            accepted: cells.sum(|cells| &cells.accepted),
            no_destination: cells.sum(|cells| &cells.no_destination),
            over_limit: cells.sum(|cells| &cells.over_limit),
        };
        let mut destinations = Vec::with_capacity(self.destinations.values().map(Vec::len).sum());
        for (group, slots) in &self.destinations {
            destinations
                .extend(slots.iter().map(|slot| ((Arc::clone(group), slot.address), slot.counters())));
        }
        let services = self.services.iter().map(|(key, cells)| (*key, service(cells))).collect();
        Counters { services, destinations }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> SocketAddr {
        (std::net::Ipv4Addr::from(number), 80).into()
    }

    #[test]
    fn a_cap_holds_until_a_place_is_given_back() {
        let slot = Slots::new(1).destination(&"web".into(), address(1));
        let held: Vec<_> = (0..3).map_while(|_| slot.reserve(2)).collect();
        assert_eq!((held.len(), slot.active()), (2, 2));
        // A cap that is lowered below what is open lets nothing new in; one that is lifted does.
        assert!(slot.reserve(1).is_none());
        assert!(slot.reserve(0).is_some());
        drop(held);
        assert_eq!(slot.active(), 0);
    }

    #[test]
    fn what_has_left_is_remembered_within_bounds_and_what_is_used_for_ever() {
        let mut slots = Slots::new(2);
        let group: Arc<str> = "web".into();
        let used = slots.destination(&group, address(0));
        used.cells.of(1).connections.add(7);
        let gone = slots.destination(&group, address(1));
        gone.cells.of(0).bytes_in.add(1 << 40);
        drop(gone);
        slots.prune();
        assert_eq!(slots.destination(&group, address(1)).counters().bytes_in, 1 << 40);
        for number in 2..10_000 {
            drop(slots.destination(&group, address(number)));
        }
        slots.prune();
        let counters = slots.counters().destinations;
        assert_eq!(counters.len(), REMEMBERED + 1);
        assert_eq!((counters[0].0.1, counters[0].1.connections), (address(0), 7));
        // Another group's is another.
        assert_eq!(slots.destination(&"mail".into(), address(0)).counters().connections, 0);
    }
}
