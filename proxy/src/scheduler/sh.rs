//! `sh`: the client's address decides, by a table of 256 buckets.
//!
//! As in IPVS the buckets are filled with runs as long as the weights, again and again. Weights that do not
//! fit into 256 are scaled down first (in IPVS the first server with weight 256 gets everything).

use std::net::SocketAddr;

use super::{Candidates, hash};
use crate::{Destination, SchedulerFlags};

const SIZE: usize = 256;

#[derive(Debug)]
pub(crate) struct Buckets(Vec<u32>);

impl Buckets {
    pub(super) fn new(destinations: &[Destination]) -> Buckets {
        let runs = runs(destinations);
        let cycle = runs.iter().flat_map(|&(index, length)| std::iter::repeat_n(index, length));
        Buckets(cycle.collect::<Vec<_>>().into_iter().cycle().take(SIZE).collect())
    }

    pub(super) fn pick(
        &self,
        flags: SchedulerFlags,
        candidates: &impl Candidates,
        client: SocketAddr,
    ) -> Option<usize> {
        let index = |entry: usize| self.0.get(entry).map(|&index| index as usize);
        hash::entries(SIZE, client, flags).filter_map(index).find(|&index| candidates.usable(index))
    }
}

/// How many buckets in a row each destination gets.
fn runs(destinations: &[Destination]) -> Vec<(u32, usize)> {
    let weighted = || destinations.iter().enumerate().filter(|(_, destination)| destination.weight > 0);
    let total: u64 = weighted().map(|(_, destination)| u64::from(destination.weight)).sum();
    let divisor =
        weighted().fold(0, |divisor, (_, destination)| greatest_divisor(divisor, destination.weight));
    if total <= SIZE as u64 * u64::from(divisor) {
        return weighted()
            .map(|(index, destination)| (index as u32, (destination.weight / divisor) as usize))
            .collect();
    }
    // The boundaries between the runs are rounded, not their lengths: so they fill the table exactly.
    let mut sum = 0;
    let boundary = |sum: u64| ((sum * SIZE as u64 + total / 2) / total) as usize;
    weighted()
        .map(|(index, destination)| {
            let start = boundary(sum);
            sum += u64::from(destination.weight);
            (index as u32, boundary(sum) - start)
        })
        .collect()
}

fn greatest_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Pool, client};
    use super::*;

    const STRICT: SchedulerFlags = SchedulerFlags { fallback: false, port: false };
    const FALLBACK: SchedulerFlags = SchedulerFlags { fallback: true, port: false };

    proptest! {
        /// Shares of the table are those of the weights, up to the run that the table's end cuts.
        #[test]
        fn buckets_follow_the_weights(weights in prop::collection::vec(0u32..100_000, 1..10)) {
            let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
            prop_assume!(total > 0);
            let Buckets(buckets) = Buckets::new(&Pool::new(&weights).destinations());
            prop_assert_eq!(buckets.len(), SIZE);
            for (index, &weight) in weights.iter().enumerate() {
                let got = buckets.iter().filter(|&&bucket| bucket as usize == index).count() as f64;
                let share = SIZE as f64 * f64::from(weight) / total as f64;
                let runs = runs(&Pool::new(&weights).destinations());
                let run = runs.iter().find(|run| run.0 as usize == index).map_or(0, |run| run.1);
                prop_assert!((got - share).abs() <= run as f64 + 1.0);
                prop_assert!(weight > 0 || got == 0.0);
            }
        }
    }

    #[test]
    fn small_weights_fill_in_runs_as_in_ipvs() {
        let Buckets(buckets) = Buckets::new(&Pool::new(&[2, 0, 1]).destinations());
        assert_eq!(buckets[..7], [0, 0, 2, 0, 0, 2, 0]);
    }

    #[test]
    fn clients_spread_and_stay() {
        let pool = Pool::new(&[3, 1]);
        let buckets = Buckets::new(&pool.destinations());
        let to_first = (0..4000).filter(|&n| buckets.pick(STRICT, &pool, client(n)) == Some(0)).count();
        assert!((2850..3150).contains(&to_first), "{to_first}");
    }

    #[test]
    fn without_fallback_a_client_waits_for_its_server_with_it_the_lost_ones_spread() {
        let mut pool = Pool::new(&[1, 1, 1]);
        let buckets = Buckets::new(&pool.destinations());
        let before: Vec<_> = (0..3000).map(|n| buckets.pick(STRICT, &pool, client(n)).unwrap()).collect();
        pool.unusable = vec![1];
        let mut moved = [0; 3];
        for (n, &was) in before.iter().enumerate() {
            let strict = buckets.pick(STRICT, &pool, client(n as u32));
            let fallback = buckets.pick(FALLBACK, &pool, client(n as u32)).unwrap();
            if was == 1 {
                assert_eq!(strict, None);
                moved[fallback] += 1;
            } else {
                assert_eq!((strict, fallback), (Some(was), was));
            }
        }
        assert!(moved[0] > 300 && moved[2] > 300, "{moved:?}");
    }
}
