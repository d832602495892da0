//! Checks, as they would fare at such a server.

use tidegate_engine::OutcomeKind;

use super::policy::{Checks, Seen};
use super::scenario::FaultKind;
use super::server::{Offer, Visitor};
use super::world::{Event, World};

/// The check of one server that is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct CheckRun {
    generation: u32,
    started: f64,
    /// Whether a connection was made.
    connected: bool,
}

impl World<'_> {
    pub(super) fn check_start(&mut self, server: usize) {
        if let Some(end) = self.stalled_until {
            self.at(end, Event::CheckStart { server: server as u32 });
            return;
        }
        let lost = self.has(FaultKind::Blip, server) || self.has(FaultKind::Cut, server);
        let generation = self.checks[server].generation;
        let offer =
            if lost { Offer::Silence } else { self.servers[server].offer(Visitor::Check(generation)) };
        let connected = matches!(offer, Offer::Free | Offer::Waits);
        self.checks[server] = CheckRun { generation, started: self.now, connected };
        match offer {
            Offer::Refused => self.conclude(server, OutcomeKind::Refused),
            _ => {
                let end = self.now + self.scenario.check.timeout;
                self.at(end, Event::CheckEnd { server: server as u32, generation, passed: false });
                if offer == Offer::Free {
                    self.check_served(server, generation);
                }
            }
        }
    }

    /// It is its turn.
    pub(super) fn check_served(&mut self, server: usize, generation: u32) {
        if self.checks[server].generation == generation {
            let takes =
                self.scenario.servers.health * self.servers[server].slowness() * (0.5 + self.rng.f64());
            self.at(self.now + takes, Event::CheckEnd { server: server as u32, generation, passed: true });
        }
    }

    pub(super) fn check_end(&mut self, server: usize, generation: u32, passed: bool) {
        if self.checks[server].generation != generation {
            return;
        }
        if let Some(end) = self.stalled_until {
            // It comes back to a deadline that has passed.
            let passed = passed && self.checks[server].started + self.scenario.check.timeout > end;
            self.at(end, Event::CheckEnd { server: server as u32, generation, passed });
            return;
        }
        let lost = self.has(FaultKind::Blip, server) || self.has(FaultKind::Cut, server);
        if passed && lost {
            return;
        }
        self.conclude(
            server,
            match (passed, self.checks[server].connected) {
                (true, _) if self.has(FaultKind::Wrong, server) => OutcomeKind::WrongAnswer,
                (true, _) => OutcomeKind::Passed,
                (false, true) => OutcomeKind::AnswerTimeout,
                (false, false) => OutcomeKind::ConnectTimeout,
            },
        );
    }

    fn conclude(&mut self, server: usize, kind: OutcomeKind) {
        let run = &mut self.checks[server];
        run.generation = run.generation.wrapping_add(1);
        let latency = self.now - run.started;
        let interval = self.scenario.check.interval;
        let (next, at) = match self.director.checks {
            Checks::Serial if server + 1 < self.servers.len() => (server + 1, self.now),
            Checks::Serial => (0, self.now + interval),
            _ => (server, (run.started + interval).max(self.now)),
        };
        self.at(at, Event::CheckStart { server: next as u32 });
        self.brain.observe(self.now, Seen { server, kind, latency });
        self.apply();
    }
}
