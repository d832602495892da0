//! `mh`: Maglev hashing, by a lookup table of a prime size in which a change of the pool moves little more
//! than what it must (Eisenbud et al., "Maglev", NSDI 2016, §3.4).
//!
//! Each destination has a permutation of the table of its own and they take their next free entry in turn;
//! a lighter one sits out rounds in proportion. The size is IPVS's default.

use std::net::SocketAddr;

use super::{Candidates, hash};
use crate::{Destination, SchedulerFlags};

const SIZE: usize = 4093;
const EMPTY: u16 = u16::MAX;

/// Each entry an index into the destinations; empty if none has a weight.
#[derive(Debug)]
pub(crate) struct Lookup(Box<[u16]>);

struct Member {
    index: u16,
    weight: u64,
    /// Earned rounds, in units of the largest weight.
    credit: u64,
    next: usize,
    stride: usize,
}

impl Lookup {
    pub(super) fn new(destinations: &[Destination]) -> Lookup {
        // More than the table's entries cannot be in it anyway.
        let weighted = destinations.iter().take(SIZE).enumerate().filter(|(_, one)| one.weight > 0);
        let mut members: Vec<Member> = weighted
            .map(|(index, one)| Member {
                index: index as u16,
                weight: u64::from(one.weight),
                credit: 0,
                next: (hash::destination(one.address, 1) % SIZE as u64) as usize,
                stride: (hash::destination(one.address, 2) % (SIZE as u64 - 1)) as usize + 1,
            })
            .collect();
        let Some(largest) = members.iter().map(|member| member.weight).max() else {
            return Lookup(Box::default());
        };
        let mut entries = vec![EMPTY; SIZE].into_boxed_slice();
        let mut free = SIZE;
        while free > 0 {
            for member in &mut members {
                member.credit += member.weight;
                if member.credit < largest || free == 0 {
                    continue;
                }
                member.credit -= largest;
                while entries[member.next] != EMPTY {
                    member.next = (member.next + member.stride) % SIZE;
                }
                entries[member.next] = member.index;
                free -= 1;
            }
        }
        Lookup(entries)
    }

    pub(super) fn pick(
        &self,
        flags: SchedulerFlags,
        candidates: &impl Candidates,
        client: SocketAddr,
    ) -> Option<usize> {
        let index = |entry: usize| self.0.get(entry).map(|&index| usize::from(index));
        hash::entries(SIZE, client, flags).filter_map(index).find(|&index| candidates.usable(index))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Pool, client};
    use super::*;

    fn entries(pool: &Pool) -> Box<[u16]> {
        Lookup::new(&pool.destinations()).0
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Each destination's share of the table is that of its weight, but for fractions of a turn, which
        /// in sum can be as many entries as there are destinations.
        #[test]
        fn entries_follow_the_weights(weights in prop::collection::vec(0u32..1000, 1..12)) {
            let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
            prop_assume!(total > 0);
            let entries = entries(&Pool::new(&weights));
            for (index, &weight) in weights.iter().enumerate() {
                let got = entries.iter().filter(|&&entry| usize::from(entry) == index).count() as f64;
                let share = SIZE as f64 * f64::from(weight) / total as f64;
                prop_assert!((got - share).abs() <= weights.len() as f64, "{got} {share}");
            }
        }

        /// Taking one of n equal destinations away moves its own entries, and of the others' few.
        #[test]
        fn a_removal_disrupts_little(count in 2usize..20, gone: prop::sample::Index) {
            let mut pool = Pool::new(&vec![1; count]);
            let before = entries(&pool);
            let gone = gone.index(count);
            pool.weights[gone] = 0;
            let after = entries(&pool);
            let kept = before.iter().filter(|&&entry| usize::from(entry) != gone).count();
            let moved = before.iter().zip(&after).filter(|(was, is)| usize::from(**was) != gone && was != is).count();
            prop_assert!((moved as f64) < kept as f64 * 0.25, "{moved} of {kept}");
        }
    }

    #[test]
    fn clients_follow_the_weights_and_fallback_keeps_the_others() {
        let mut pool = Pool::new(&[1, 2, 1]);
        let lookup = Lookup::new(&pool.destinations());
        let strict = SchedulerFlags::default();
        let fallback = SchedulerFlags { fallback: true, port: false };
        let before: Vec<_> = (0..8000).map(|n| lookup.pick(strict, &pool, client(n)).unwrap()).collect();
        let second = before.iter().filter(|&&index| index == 1).count();
        assert!((3700..4300).contains(&second), "{second}");
        pool.unusable = vec![1];
        for (n, &was) in before.iter().enumerate() {
            let now = lookup.pick(fallback, &pool, client(n as u32)).unwrap();
            assert!(if was == 1 { now != 1 } else { now == was });
        }
    }
}
