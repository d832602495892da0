//! `wrr`: in proportion to the weights, exactly so over each cycle of Σweight choices.
//!
//! IPVS walks down from the largest weight in steps of the greatest common divisor, which gives the
//! strongest server its turns in a row. The smooth variant gives the same shares over the same cycle,
//! spreads the turns, and its cost does not depend on the weights: each usable destination earns its weight,
//! the richest is chosen and pays what all have earned.

use super::Candidates;
use crate::Destination;

/// How many choices are replayed at most when the weights change.
const REPLAYED: u64 = 64;

#[derive(Debug, Default)]
pub(super) struct Smooth {
    credits: Vec<i64>,
}

impl Smooth {
    /// Where the sequence is after `turn` choices, or as many as are worth computing.
    pub(super) fn at(destinations: &[Destination], turn: u64) -> Smooth {
        let mut smooth = Smooth { credits: vec![0; destinations.len()] };
        let cycle: u64 = destinations.iter().map(|destination| u64::from(destination.weight)).sum();
        for _ in 0..turn.checked_rem(cycle.min(REPLAYED)).unwrap_or(0) {
            smooth.step(destinations.iter().map(|destination| destination.weight).enumerate());
        }
        smooth
    }

    /// Among those that are usable and `eligible`.
    pub(super) fn pick(
        &mut self,
        candidates: &impl Candidates,
        eligible: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        self.credits.resize(candidates.count(), 0);
        let usable = (0..candidates.count()).filter(|&index| candidates.usable(index) && eligible(index));
        self.step(usable.map(|index| (index, candidates.weight(index))))
    }

    fn step(&mut self, members: impl Iterator<Item = (usize, u32)>) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for (index, weight) in members.filter(|&(_, weight)| weight > 0) {
            let weight = i64::from(weight);
            total += weight;
            self.credits[index] = self.credits[index].saturating_add(weight);
            if best.is_none_or(|best| self.credits[index] > self.credits[best]) {
                best = Some(index);
            }
        }
        let best = best?;
        self.credits[best] = self.credits[best].saturating_sub(total);
        Some(best)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Cursor;
    use super::super::testing::Pool;
    use super::*;

    fn counts(smooth: &mut Smooth, pool: &Pool, turns: u64) -> Vec<u64> {
        let mut counts = vec![0; pool.weights.len()];
        for _ in 0..turns {
            counts[smooth.pick(pool, |index| pool.usable(index)).unwrap()] += 1;
        }
        counts
    }

    proptest! {
        /// Exact over one cycle, from wherever a thread begins.
        #[test]
        fn a_cycle_has_each_destination_weight_times(
            weights in prop::collection::vec(0u32..50, 1..8),
            thread in 0usize..10,
        ) {
            let cycle: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
            let pool = Pool::new(&weights);
            let mut cursor = Cursor::new(thread);
            cursor.restart(&pool.destinations());
            prop_assume!(cycle > 0);
            let expected: Vec<u64> = weights.iter().map(|&weight| u64::from(weight)).collect();
            prop_assert_eq!(counts(&mut cursor.smooth, &pool, cycle), expected);
        }

        /// Any stretch is within a few turns of its share, also with large weights that have no divisor.
        #[test]
        fn any_stretch_is_near_its_share(weights in prop::collection::vec(1u32..65_536, 1..8), turns in 1u64..500) {
            let pool = Pool::new(&weights);
            let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
            let counts = counts(&mut Smooth::default(), &pool, turns);
            for (count, weight) in counts.iter().zip(&weights) {
                let share = turns as f64 * f64::from(*weight) / total as f64;
                prop_assert!((*count as f64 - share).abs() <= weights.len() as f64);
            }
        }
    }

    #[test]
    fn a_change_of_weights_goes_on_in_the_sequence() {
        let pool = Pool::new(&[1, 1, 1]);
        let mut cursor = Cursor::new(0);
        let plan = super::super::Plan::WeightedRoundRobin;
        let mut counts = [0; 3];
        for _ in 0..30 {
            cursor.restart(&pool.destinations());
            counts[plan.pick(&mut cursor, &pool, super::super::testing::client(0)).unwrap()] += 1;
        }
        assert_eq!(counts, [10, 10, 10]);
    }
}
