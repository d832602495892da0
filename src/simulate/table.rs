//! Many runs: the same scenario with many seeds, and all of them with all policies.

use fastrand::Rng;

use super::{Policy, Scenario, Score, run};

/// What many runs of one scenario under one policy have shown.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Goodput over ideal of each run, in ascending order.
    pub goodput: Vec<f64>,
    /// In all runs together.
    pub wrong_ejections: u64,
    /// In all runs together.
    pub to_dead: u64,
    /// In all runs together.
    pub to_known_dead: u64,
    /// In all runs together.
    pub flows_killed: u64,
    /// In all runs together.
    pub shed_without_need: u64,
}

/// Runs a scenario with each seed, its parameters drawn by the same seed, on all processors.
pub fn summarise(scenario: &Scenario, policy: Policy, seeds: std::ops::Range<u64>) -> Summary {
    let one = |seed| run(&scenario.drawn(&mut Rng::with_seed(seed ^ DRAW)), policy, seed);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let share = |first: usize| seeds.clone().skip(first).step_by(workers).map(one).collect::<Vec<_>>();
    let scores: Vec<Score> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|first| scope.spawn(move || share(first))).collect();
        let joined = |it: std::thread::ScopedJoinHandle<'_, Vec<Score>>| {
            it.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(joined).collect()
    });
    let mut goodput: Vec<_> = scores.iter().map(Score::goodput).collect();
    goodput.sort_unstable_by(f64::total_cmp);
    let sum = |of: fn(&Score) -> u64| scores.iter().map(of).sum();
    Summary {
        goodput,
        wrong_ejections: sum(|it| it.wrong_ejections),
        to_dead: sum(|it| it.to_dead),
        to_known_dead: sum(|it| it.to_known_dead),
        flows_killed: sum(|it| it.flows_killed),
        shed_without_need: sum(Score::shed_without_need),
    }
}

/// Parameters and arrivals come from different streams.
const DRAW: u64 = 0x5851_f42d_4c95_7f2d;

impl Summary {
    /// The median of the goodput over ideal.
    pub fn median(&self) -> f64 {
        self.goodput.get(self.goodput.len() / 2).copied().unwrap_or(0.0)
    }

    /// The least of the goodput over ideal.
    pub fn worst(&self) -> f64 {
        self.goodput.first().copied().unwrap_or(0.0)
    }
}
