//! Directors that count failures and passes.

use super::{Brain, Seen};
use crate::simulate::dataplane::Destination;
use crate::simulate::scenario::Scenario;
use tidegate_engine::OutcomeKind;

#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) fall: u32,
    pub(super) rise: u32,
    /// A failed server is taken out of the table with its connections.
    pub(super) deletes: bool,
    /// Below this share of healthy servers all are used.
    pub(super) panic: f64,
    /// Each server has its knee as its cap, set by a hand that knew.
    pub(super) capped: bool,
}

pub(super) struct Counting {
    rules: Rules,
    /// Failures of those that are up, passes of those that are down.
    servers: Vec<(bool, u32)>,
    whole: Vec<Destination>,
    destinations: Vec<Destination>,
}

impl Counting {
    pub(super) fn new(rules: Rules, scenario: &Scenario) -> Self {
        let servers = &scenario.servers;
        let whole: Vec<_> = (0..servers.count)
            .map(|index| Destination {
                weight: servers.weights[index % servers.weights.len()],
                cap: rules.capped.then_some((servers.knee * servers.size_of(index)) as u32),
                present: true,
            })
            .collect();
        Self { rules, servers: vec![(true, 0); servers.count], destinations: whole.clone(), whole }
    }
}

impl Brain for Counting {
    fn observe(&mut self, _now: f64, seen: Seen) {
        let (up, count) = &mut self.servers[seen.server];
        *count = if *up == (seen.kind == OutcomeKind::Passed) { 0 } else { *count + 1 };
        if *count < if *up { self.rules.fall } else { self.rules.rise } {
            return;
        }
        (*up, *count) = (!*up, 0);
        let healthy = self.servers.iter().filter(|(up, _)| *up).count();
        let panic = (healthy as f64) < self.rules.panic * self.servers.len() as f64;
        for ((destination, whole), (up, _)) in
            self.destinations.iter_mut().zip(&self.whole).zip(&self.servers)
        {
            *destination = *whole;
            if !up && !panic {
                *destination = Destination { weight: 0, present: !self.rules.deletes, ..*whole };
            }
        }
    }

    fn destinations(&self) -> &[Destination] {
        &self.destinations
    }
}
