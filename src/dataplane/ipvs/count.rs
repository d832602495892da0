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
                let group = Arc::clone(&service.attributes.group);
                let sum: &mut DestinationCounters =
                    counters.destinations.entry((group, *address)).or_default();
                let meter = self.regulator.meter(&key, address);
                let is_nat = it.destination.forwarding == Forwarding::Nat;
                let inactive = if all_are_inactive(&key) { it.inactive } else { 0 };
                sum.active += u64::from(it.active) + u64::from(inactive);
                sum.begun += meter.map_or(it.stats.total.connections, Meter::begun);
                sum.connections += it.stats.total.connections;
                sum.bytes_in += it.stats.total.bytes_in;
                sum.bytes_out += it.stats.total.bytes_out;
                if let Some(meter) = meter.filter(|_| is_nat) {
                    sum.answered = Some(sum.answered.unwrap_or(0) + meter.answered());
                }
            }
        }
        if unread.len() == 0 {
            return (None, Poll::Ready(Some(counters)));
        }
        (Some((unread, counters)), Poll::Pending)
    }
}
