//! `lc` and `wlc`: the least loaded destination.
//!
//! IPVS's overhead is 256 × active + inactive connections, where the inactive ones are what decides at low
//! load. A proxy has no inactive connections, so equals are told apart by turns: `lc` in rotation, `wlc` in
//! proportion to the weights. Without that the first of the list would get every connection of a quiet
//! service.

use super::{Candidates, rr, wrr};

/// The usable destination with the fewest connections.
pub(super) fn pick(position: usize, candidates: &impl Candidates) -> Option<usize> {
    // `min_by_key` returns the first of equals.
    rr::rotate(position, candidates)
        .filter(|&index| candidates.usable(index))
        .min_by_key(|&index| candidates.active(index))
}

/// The usable destination with the fewest connections for its weight.
pub(super) fn pick_weighted(smooth: &mut wrr::Smooth, candidates: &impl Candidates) -> Option<usize> {
    let mut least: Option<(usize, (u64, u32))> = None;
    for index in (0..candidates.count()).filter(|&index| candidates.usable(index)) {
        let load = (candidates.active(index), candidates.weight(index));
        if least.is_none_or(|(_, least)| lighter(load, least)) {
            least = Some((index, load));
        }
    }
    let (first, least) = least?;
    // When other threads have given them all connections since, the one found first is as good as any.
    smooth
        .pick(candidates, |index| !lighter(least, (candidates.active(index), candidates.weight(index))))
        .or(Some(first))
}

/// Whether a/w of the first is less than that of the second, without a division.
fn lighter(first: (u64, u32), second: (u64, u32)) -> bool {
    u128::from(first.0) * u128::from(second.1) < u128::from(second.0) * u128::from(first.1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Pool, client};
    use super::super::{Cursor, Plan};
    use super::*;

    #[test]
    fn lc_ignores_weights_and_takes_the_least() {
        let mut pool = Pool::new(&[1, 100, 1]);
        pool.active = vec![3, 2, 5];
        assert_eq!(pick(0, &pool), Some(1));
        pool.unusable = vec![1];
        assert_eq!(pick(0, &pool), Some(0));
    }

    proptest! {
        /// Kept connections: each destination's load per weight stays within one connection of the others'.
        #[test]
        fn kept_connections_follow_the_weights(weights in prop::collection::vec(1u32..20, 1..8), rounds in 1u64..20) {
            let mut pool = Pool::new(&weights);
            let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
            let mut cursor = Cursor::new(0);
            for _ in 0..total * rounds {
                let index = Plan::WeightedLeastConnection.pick(&mut cursor, &pool, client(0)).unwrap();
                pool.active[index] += 1;
            }
            let expected: Vec<u64> = weights.iter().map(|&weight| u64::from(weight) * rounds).collect();
            prop_assert_eq!(pool.active, expected);
        }

        /// One request after another, nothing open in between: shares by weight all the same.
        #[test]
        fn an_idle_pool_is_used_by_weight(weights in prop::collection::vec(0u32..20, 1..8)) {
            let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
            prop_assume!(total > 0);
            let pool = Pool::new(&weights);
            let mut cursor = Cursor::new(0);
            let mut counts = vec![0; weights.len()];
            for _ in 0..total {
                counts[Plan::WeightedLeastConnection.pick(&mut cursor, &pool, client(0)).unwrap()] += 1;
            }
            prop_assert_eq!(counts, weights);
        }
    }

    /// Other threads give a destination connections between any two looks at it.
    struct Busy(std::cell::Cell<u64>);

    impl Candidates for Busy {
        fn count(&self) -> usize {
            1
        }
        fn weight(&self, _: usize) -> u32 {
            1
        }
        fn active(&self, _: usize) -> u64 {
            self.0.replace(self.0.get() + 1)
        }
        fn usable(&self, _: usize) -> bool {
            true
        }
    }

    #[test]
    fn a_destination_that_grows_meanwhile_is_chosen_all_the_same() {
        let busy = Busy(std::cell::Cell::new(0));
        assert_eq!(Plan::LeastConnection.pick(&mut Cursor::new(0), &busy, client(0)), Some(0));
        assert_eq!(Plan::WeightedLeastConnection.pick(&mut Cursor::new(0), &busy, client(0)), Some(0));
    }

    #[test]
    fn an_idle_pool_under_lc_is_used_in_turn() {
        let pool = Pool::new(&[5, 1, 1]);
        let mut cursor = Cursor::new(0);
        let mut picks = || Plan::LeastConnection.pick(&mut cursor, &pool, client(0)).unwrap();
        assert_eq!([picks(), picks(), picks(), picks()], [0, 1, 2, 0]);
    }
}
