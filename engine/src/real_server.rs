//! One real server of one virtual server: its health from its checks, its weight from its health.
//!
//! Healthy means that every check is up; without checks a server is always healthy. An unknown server counts
//! as healthy only when a reload needed it: it is assumed up while its checks go on knowing nothing, so that
//! the first outcome is believed at once. Health changes only together with a reason, and
//! [`Health::Unknown`] is left once and never entered again.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::advice;
use crate::check::{Check, Verdict, Words, said};
use crate::config::{self, Initially};
use crate::effects::{Destination, Role};
use crate::input::{Command, Observation};
use crate::overload::{Reading, Stand};
use crate::weight;

/// The state of a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Some check has had no outcome yet and none is down.
    Unknown {
        /// When the server became known to the engine.
        since: Instant,
        /// Whether it gets traffic all the same, because a reload left too few others.
        assumed_up: bool,
    },
    /// Every check is up.
    Up {
        /// Since when.
        since: Instant,
        /// When the slow start began: for a server that came back, not for one that was never down.
        ramp: Option<Instant>,
    },
    /// Some check is down: no traffic.
    Down {
        /// Since when.
        since: Instant,
    },
}

impl Health {
    /// When the state was entered.
    pub fn since(&self) -> Instant {
        let (Health::Unknown { since, .. } | Health::Up { since, .. } | Health::Down { since }) = self;
        *since
    }

    /// Whether every check is up or is assumed to be.
    pub fn is_up(&self) -> bool {
        matches!(self, Health::Up { .. } | Health::Unknown { assumed_up: true, .. })
    }
}

/// Why a server stands where it does: the check, if one decided, and the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The key of the check.
    pub(crate) check: Option<Arc<str>>,
    pub(crate) words: Words,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.check {
            Some(check) => write!(f, "{check}: {}", self.words),
            None => self.words.fmt(f),
        }
    }
}

#[derive(Debug)]
pub(crate) struct RealServer {
    pub(crate) address: SocketAddr,
    pub(crate) configured_weight: u32,
    pub(crate) operator_weight: Option<u32>,
    /// What the checks' advice makes of the configured weight.
    pub(crate) advised_weight: Option<u32>,
    pub(crate) drained: bool,
    pub(crate) health: Health,
    /// What the overload protection makes of it.
    pub(crate) stand: Stand,
    /// The most connections, of the protection or the configuration.
    pub(crate) cap: Option<u32>,
    pub(crate) reason: Reason,
    /// One for each of the virtual server's checks, in their order.
    pub(crate) checks: Box<[Check]>,
}

impl RealServer {
    pub(crate) fn new(now: Instant, config: &config::RealServer, rules: &[config::Check]) -> RealServer {
        let mut server = RealServer {
            address: config.address,
            configured_weight: config.weight,
            operator_weight: None,
            advised_weight: None,
            drained: false,
            health: Health::Unknown { since: now, assumed_up: false },
            stand: Stand::AsChecked,
            cap: config.most(),
            reason: Reason {
                check: None,
                words: said(if rules.is_empty() { "no checks" } else { "initially up" }),
            },
            checks: rules.iter().map(|rule| Check::default().begin(rule.initially)).collect(),
        };
        server.settle(now);
        server.blame(rules);
        server
    }

    /// Takes new attributes and another list of checks; `origin` tells where each was in the list before.
    ///
    /// A check that is new to a server in service is assumed up until it has failed: a reload must not take a
    /// healthy pool out of service. The same for an unknown check that has become initially up. True when the
    /// health changed.
    pub(crate) fn reload(
        &mut self,
        now: Instant,
        config: &config::RealServer,
        rules: &[config::Check],
        origin: &[Option<usize>],
        old_slow_start: Duration,
    ) -> bool {
        self.configured_weight = config.weight;
        self.cap = config.most();
        if let Health::Up { ramp, .. } = &mut self.health {
            // A ramp that is over stays over, whatever the new slow start.
            ramp.take_if(|start| now.saturating_duration_since(*start) >= old_slow_start);
        }
        let up = matches!(self.health, Health::Up { .. });
        let mut known: Vec<_> = std::mem::take(&mut self.checks).into_iter().map(Some).collect();
        let carried = |(rule, origin): (&config::Check, &Option<usize>)| {
            let check = origin.and_then(|index| known.get_mut(index)).and_then(Option::take);
            check.unwrap_or_default().begin(if up { Initially::Up } else { rule.initially })
        };
        self.checks = rules.iter().zip(origin).map(carried).collect();
        self.advise();
        let changed = self.settle(now);
        if changed {
            self.reason = Reason { check: None, words: said("no check is against it after a reload") };
        }
        self.blame(rules);
        changed
    }

    /// Gives traffic to a server of which nothing is known.
    pub(crate) fn assume_up(&mut self) {
        if let Health::Unknown { assumed_up, .. } = &mut self.health {
            *assumed_up = true;
            let words = said("not checked yet; in service because the reload left too few others");
            self.reason = Reason { check: None, words };
        }
    }

    /// Takes the outcome of one check in. True when the health changed.
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        rules: &[config::Check],
        check: usize,
        seen: &Observation,
        reading: Reading,
    ) -> bool {
        let (Some(state), Some(rule)) = (self.checks.get_mut(check), rules.get(check)) else { return false };
        let words = state.observe(now, rule, seen, reading);
        self.advise();
        let Some(words) = words else { return false };
        let changed = self.settle(now);
        if changed || self.reason.check.as_ref() == Some(&rule.key) {
            self.reason = Reason { check: Some(rule.key.clone()), words };
        }
        self.blame(rules);
        changed
    }

    /// Carries out an operator's command; what changed, for people.
    pub(crate) fn obey(&mut self, command: &Command) -> String {
        let before = self.target();
        match command {
            Command::Drain { .. } => {
                self.drained = true;
                return "drained".into();
            }
            Command::Enable { .. } => {
                self.drained = false;
                self.operator_weight = None;
            }
            Command::Weight { weight, .. } => self.operator_weight = Some(*weight),
        }
        match (self.operator_weight, self.target()) {
            (None, now) if now == before => "enabled".into(),
            (None, now) => format!("enabled, weight {now} in place of {before}"),
            (Some(_), now) => format!("weight {now} in place of {before}"),
        }
    }

    /// What this server adds to W: its whole weight even on the ramp, so that a ramp cannot lose a quorum.
    pub(crate) fn quorum_share(&self) -> u32 {
        if self.is_in_service() && !self.drained { self.target() } else { 0 }
    }

    /// What assuming this server up would add to W.
    pub(crate) fn unknown_share(&self) -> u32 {
        match self.health {
            Health::Unknown { assumed_up: false, .. } if !self.drained => self.target(),
            _ => 0,
        }
    }

    pub(crate) fn destination(&self, now: Instant, slow_start: Duration) -> Destination {
        Destination {
            address: self.address,
            weight: match self.elapsed(now) {
                Some(elapsed) => weight::ramped(self.quorum_share(), slow_start, elapsed),
                None => self.quorum_share(),
            },
            cap: self.cap,
            alive: !matches!(self.health, Health::Down { .. }) || self.stand == Stand::Kept,
            decided: self.unknown_share() == 0,
            role: Role::RealServer,
        }
    }

    /// When the ramp next changes the weight; later than `now`.
    pub(crate) fn next_step(&self, now: Instant, slow_start: Duration) -> Option<Instant> {
        let Health::Up { ramp: Some(start), .. } = self.health else { return None };
        start.checked_add(weight::next_step(self.quorum_share(), slow_start, self.elapsed(now)?)?)
    }

    /// Whether it gets traffic if nobody has drained it.
    pub(crate) fn is_in_service(&self) -> bool {
        match self.stand {
            Stand::AsChecked => self.health.is_up(),
            Stand::Kept => true,
            Stand::Held => false,
        }
    }

    /// It was in service all the time.
    pub(crate) fn skip_ramp(&mut self) {
        if let Health::Up { ramp, .. } = &mut self.health {
            *ramp = None;
        }
    }

    /// The weight that a healthy server has after its slow start.
    pub(crate) fn target(&self) -> u32 {
        self.operator_weight.or(self.advised_weight).unwrap_or(self.configured_weight)
    }

    fn advise(&mut self) {
        let advice = self.checks.iter().filter_map(|check| check.advice);
        self.advised_weight = advice::weight(self.configured_weight, advice);
    }

    /// Time on the ramp.
    fn elapsed(&self, now: Instant) -> Option<Duration> {
        match self.health {
            Health::Up { ramp: Some(start), .. } => Some(now.saturating_duration_since(start)),
            _ => None,
        }
    }

    /// Brings the health in line with the checks. True when it changed.
    fn settle(&mut self, now: Instant) -> bool {
        let all_up = self.checks.iter().all(Check::is_up);
        let any_down = self.checks.iter().any(|check| matches!(check.verdict, Verdict::Down { .. }));
        self.health = match self.health {
            Health::Unknown { .. } if all_up => Health::Up { since: now, ramp: None },
            Health::Down { .. } if all_up => Health::Up { since: now, ramp: Some(now) },
            Health::Unknown { .. } if any_down => Health::Down { since: now },
            Health::Up { .. } if !all_up => Health::Down { since: now },
            _ => return false,
        };
        true
    }

    /// Makes the reason of a server that is not up name a check that holds it back: the one that it names may
    /// have recovered before the others, or be gone.
    fn blame(&mut self, rules: &[config::Check]) {
        if self.health.is_up() {
            return;
        }
        let mut holding = rules.iter().zip(&self.checks).filter(|(_, check)| !check.is_up());
        let named = self.reason.check.as_ref();
        if holding.clone().any(|(rule, _)| Some(&rule.key) == named) {
            return;
        }
        if let Some((rule, check)) = holding.next() {
            self.reason = Reason { check: Some(rule.key.clone()), words: check.holds_back() };
        }
    }
}
