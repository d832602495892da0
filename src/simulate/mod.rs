//! What would happen? A deterministic simulation of a pool, its clients and its director.
//!
//! ```text
//!   Scenario (TOML) ──► World: servers, clients, faults, one clock ──► Score
//!                         │ ▲                                            │
//!        checks, counters │ │ weights, caps                    chart, plot, table
//!                         ▼ │
//!                        Policy: Tidegate's engine itself, or the rules of another director
//! ```
//!
//! A server has slots, a knee beyond which it slows down, and a backlog; clients give up, leave work behind and come
//! again. The same scenario, policy and seed give the same run.

mod chart;
mod checks;
mod dataplane;
mod order;
mod plot;
mod policy;
mod scenario;
mod score;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod traffic;
mod world;

pub use chart::chart;
pub use plot::plot;
pub use policy::Policy;
pub use scenario::{Scenario, names};
pub use score::{Score, Second};
pub use table::{Summary, summarise};

/// Runs a scenario once.
pub fn run(scenario: &Scenario, policy: Policy, seed: u64) -> Score {
    world::World::new(scenario, policy, seed).run()
}
