//! Up to five directors on a virtual clock: chaos, quiet, and an exam.
//!
//! The seed of a run that fails is printed. `SIMULATION_SEED=n` runs that one and prints its events,
//! `SIMULATION_SEEDS=n` runs so many in place of 10,000.

mod chaos;
mod director;
mod exam;
mod site;
mod world;

use fastrand::Rng;
use site::Site;
use world::World;

/// Halves for two threads.
#[test]
fn whatever_happens_each_address_ends_up_on_one_director_even_seeds() {
    run(0);
}

#[test]
fn whatever_happens_each_address_ends_up_on_one_director_odd_seeds() {
    run(1);
}

fn run(first: u64) {
    let variable = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    if let Some(seed) = variable("SIMULATION_SEED") {
        return simulate(seed, true);
    }
    let seeds = variable("SIMULATION_SEEDS").unwrap_or(10_000);
    (first..seeds).step_by(2).for_each(|seed| simulate(seed, false));
}

fn simulate(seed: u64, trace: bool) {
    let _print = PrintOnPanic(seed);
    let mut random = Rng::with_seed(seed);
    let site = Site::random(&mut random);
    let mut world = World::new(site, random, trace);
    chaos::rage(&mut world);
    chaos::calm_down(&mut world);
    exam::check_settled(&world);
    exam::sit(&mut world);
}

struct PrintOnPanic(u64);

impl Drop for PrintOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was SIMULATION_SEED={}", self.0);
        }
    }
}
