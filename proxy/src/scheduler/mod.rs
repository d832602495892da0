//! How a destination is chosen: IPVS's schedulers as pure functions.
//!
//! What a scheduler needs is split in two: the [`Plan`] is compiled once for each table and shared by all
//! threads; the [`Cursor`] is where one thread stands. A scheduler never chooses what is not usable, and
//! says so when nothing is.

mod hash;
mod lc;
mod mh;
mod rr;
mod sh;
mod wrr;

use std::net::SocketAddr;

use crate::{Destination, Scheduler, SchedulerFlags};

/// The destinations as a scheduler sees them.
pub(crate) trait Candidates {
    fn count(&self) -> usize;
    fn weight(&self, index: usize) -> u32;
    /// Connections that are open or on their way.
    fn active(&self, index: usize) -> u64;
    /// Alive, with a weight, below its cap, and not tried before for this connection.
    fn usable(&self, index: usize) -> bool;
}

/// A scheduler made ready for one set of destinations.
#[derive(Debug)]
pub(crate) enum Plan {
    RoundRobin,
    WeightedRoundRobin,
    LeastConnection,
    WeightedLeastConnection,
    SourceHash(sh::Buckets, SchedulerFlags),
    Maglev(mh::Lookup, SchedulerFlags),
}

/// Where one thread stands in one service.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// Choices made so far. It starts at the thread's number, so that the threads do not all begin with the
    /// same destination, and goes on through changes of the table for the same reason.
    turn: u64,
    /// The index after the one chosen last.
    position: usize,
    smooth: wrr::Smooth,
}

impl Plan {
    pub(crate) fn new(scheduler: Scheduler, flags: SchedulerFlags, destinations: &[Destination]) -> Plan {
        match scheduler {
            Scheduler::RoundRobin => Plan::RoundRobin,
            Scheduler::WeightedRoundRobin => Plan::WeightedRoundRobin,
            Scheduler::LeastConnection => Plan::LeastConnection,
            Scheduler::WeightedLeastConnection => Plan::WeightedLeastConnection,
            Scheduler::SourceHash => Plan::SourceHash(sh::Buckets::new(destinations), flags),
            Scheduler::Maglev => Plan::Maglev(mh::Lookup::new(destinations), flags),
        }
    }

    /// A client's destination is given, and no other is chosen when it cannot be used.
    pub(crate) fn is_strict(&self) -> bool {
        matches!(self, Plan::SourceHash(_, flags) | Plan::Maglev(_, flags) if !flags.fallback)
    }

    pub(crate) fn pick(
        &self,
        cursor: &mut Cursor,
        candidates: &impl Candidates,
        client: SocketAddr,
    ) -> Option<usize> {
        let picked = match self {
            Plan::RoundRobin => rr::pick(cursor.position, candidates),
            Plan::WeightedRoundRobin => cursor.smooth.pick(candidates, |index| candidates.usable(index)),
            Plan::LeastConnection => lc::pick(cursor.position, candidates),
            Plan::WeightedLeastConnection => lc::pick_weighted(&mut cursor.smooth, candidates),
            Plan::SourceHash(buckets, flags) => buckets.pick(*flags, candidates, client),
            Plan::Maglev(lookup, flags) => lookup.pick(*flags, candidates, client),
        };
        if let Some(index) = picked {
            cursor.turn += 1;
            cursor.position = index + 1;
        }
        picked
    }
}

impl Cursor {
    pub(crate) fn new(thread: usize) -> Cursor {
        Cursor { turn: thread as u64, position: thread, smooth: wrr::Smooth::default() }
    }

    /// To be called whenever the destinations or their weights have changed.
    pub(crate) fn restart(&mut self, destinations: &[Destination]) {
        self.smooth = wrr::Smooth::at(destinations, self.turn);
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// Destinations whose state a test sets as it likes.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Pool {
        pub(crate) weights: Vec<u32>,
        pub(crate) active: Vec<u64>,
        pub(crate) unusable: Vec<usize>,
    }

    impl Pool {
        pub(crate) fn new(weights: &[u32]) -> Pool {
            Pool { weights: weights.to_vec(), active: vec![0; weights.len()], unusable: Vec::new() }
        }

        pub(crate) fn destinations(&self) -> Vec<Destination> {
            let destination = |(index, &weight): (usize, &u32)| Destination {
                address: SocketAddr::from(([10, 0, (index >> 8) as u8, index as u8], 80)),
                weight,
                max_connections: 0,
                alive: true,
            };
            self.weights.iter().enumerate().map(destination).collect()
        }
    }

    impl Candidates for Pool {
        fn count(&self) -> usize {
            self.weights.len()
        }
        fn weight(&self, index: usize) -> u32 {
            self.weights[index]
        }
        fn active(&self, index: usize) -> u64 {
            self.active[index]
        }
        fn usable(&self, index: usize) -> bool {
            self.weights[index] > 0 && !self.unusable.contains(&index)
        }
    }

    pub(crate) fn client(number: u32) -> SocketAddr {
        SocketAddr::from((std::net::Ipv4Addr::from(0x0a01_0000 + number), 40_000))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::{Pool, client};
    use super::*;

    const ALL: [Scheduler; 6] = [
        Scheduler::RoundRobin,
        Scheduler::WeightedRoundRobin,
        Scheduler::LeastConnection,
        Scheduler::WeightedLeastConnection,
        Scheduler::SourceHash,
        Scheduler::Maglev,
    ];

    proptest! {
        /// Whatever the weights, loads and what is unusable: nobody chooses an unusable destination, and
        /// only a hash without fallback may give up while there is a usable one.
        #[test]
        fn only_usable_destinations_are_chosen(
            scheduler in prop::sample::select(&ALL[..]),
            pool in prop::collection::vec((0u32..300, 0u64..1000, any::<bool>()), 0..12),
            fallback: bool,
            port: bool,
            turns in 1u32..40,
        ) {
            let pool = Pool {
                weights: pool.iter().map(|member| member.0).collect(),
                active: pool.iter().map(|member| member.1).collect(),
                unusable: (0..pool.len()).filter(|&index| pool[index].2).collect(),
            };
            let plan = Plan::new(scheduler, SchedulerFlags { fallback, port }, &pool.destinations());
            let mut cursor = Cursor::new(1);
            cursor.restart(&pool.destinations());
            for turn in 0..turns {
                match plan.pick(&mut cursor, &pool, client(turn)) {
                    Some(index) => prop_assert!(pool.usable(index)),
                    None => prop_assert!(plan.is_strict() || (0..pool.count()).all(|index| !pool.usable(index))),
                }
            }
        }
    }
}
