//! What the kernel has counted, read piece by piece.

use std::sync::Arc;
use std::task::Poll;

use tidegate_ipvs::table::Forwarding;

use super::meter::Meter;
use super::regulator::all_are_inactive;
use super::{IpvsDataplane, Service, Unread};
use crate::dataplane::{Counters, DestinationCounters, ServiceCounters};

/// Of which services not yet, and what so far.
pub(super) type Counting = (Unread, Counters);

impl IpvsDataplane {
    /// Of the services that are of this kind.
    pub(super) fn begin_to_count(&mut self, which: fn(&Service) -> bool) -> Option<Counting> {
        let services = self.services().ok()?;
        let services = services.filter(|(key, ..)| self.ours.get(key).is_some_and(|service| which(service)));
        Some((services.collect::<Vec<_>>().into_iter(), Counters::default()))
    }

    /// Counts on for a moment: what has been counted and is not done, and the answer.
    pub(super) fn count_on(
        &mut self,
        counting: Option<Counting>,
    ) -> (Option<Counting>, Poll<Option<Counters>>) {
        let Some((mut unread, mut counters)) = counting else { return (None, Poll::Ready(None)) };
        let Ok(read) = self.read_on(&mut unread) else { return (None, Poll::Ready(None)) };
        for (key, entry) in read {
            let Some(service) = self.ours.get(&key) else { continue };
            let accepted = entry.stats.total.connections;
            counters.services.insert(key, ServiceCounters { accepted, ..ServiceCounters::default() });
            for (address, it) in &entry.destinations {
                let meter = self.regulator.meter(&key, address);
                let is_nat = it.destination.forwarding == Forwarding::Nat;
                let inactive = if all_are_inactive(&key) { it.inactive } else { 0 };
                let counted = DestinationCounters {
                    active: u64::from(it.active) + u64::from(inactive),
                    begun: meter.map_or(it.stats.total.connections, Meter::begun),
                    connections: it.stats.total.connections,
                    connect_failures: 0,
                    bytes_in: it.stats.total.bytes_in,
                    bytes_out: it.stats.total.bytes_out,
                    answered: meter.filter(|_| is_nat).map(Meter::answered),
                };
                counters.destinations.push(((Arc::clone(&service.attributes.group), *address), counted));
            }
        }
        if unread.len() == 0 {
            sum_up(&mut counters);
            return (None, Poll::Ready(Some(counters)));
        }
        (Some((unread, counters)), Poll::Pending)
    }
}

/// A real server has an entry in each of its virtual server's services.
fn sum_up(counters: &mut Counters) {
    counters.sort();
    counters.destinations.dedup_by(|(key, it), (before, sum)| {
        let same = key == before;
        if same {
            sum.active += it.active;
            sum.begun += it.begun;
            sum.connections += it.connections;
            sum.bytes_in += it.bytes_in;
            sum.bytes_out += it.bytes_out;
            sum.answered = sum.answered.into_iter().chain(it.answered).reduce(|a, b| a + b);
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_of_a_virtual_server_are_one() {
        let entry = |group: &str, host: u8, active, answered| {
            let address = ([192, 0, 2, host], 80).into();
            (
                (group.into(), address),
                DestinationCounters { active, answered, ..DestinationCounters::default() },
            )
        };
        let destinations = vec![
            entry("web", 2, 1, None),
            entry("mail", 1, 20, Some(3)),
            entry("web", 1, 300, None),
            entry("web", 2, 4000, None),
            entry("mail", 1, 50_000, Some(4)),
        ];
        let mut counters = Counters { destinations, ..Counters::default() };
        sum_up(&mut counters);
        let expected =
            [entry("mail", 1, 50_020, Some(7)), entry("web", 1, 300, None), entry("web", 2, 4001, None)];
        assert_eq!(counters.destinations, expected);
        assert_eq!(counters.of_group("web").get(([192, 0, 2, 1], 80).into()).unwrap().active, 300);
        assert_eq!(counters.of_group("web").iter().count(), 2);
        assert_eq!(counters.of_group("none").iter().count(), 0);
    }
}
