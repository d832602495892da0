//! Overload protection: a pool serves what it can at its peak, and no server is ejected for being busy.
//!
//! ```text
//!   Traffic samples ─► evidence ─┬─► what a failed check means: dead, saturated, wrong, idle
//!   check outcomes ──►           │       dead: down at once          saturated: stays, whatever the check says
//!                                │       wrong: out if the others can bear it (ejection)
//!                                └─► cap (Little's law) ─► × ramp of those that return (flap) ─► desired
//! ```
//!
//! Everything here is a function of samples and outcomes; nothing happens between them but that a dataplane which no
//! longer delivers samples leaves the decision to the checks alone.
//!
//! # What a dataplane must deliver
//!
//! A [`Traffic`] for each virtual server once a second or more often (twice is better), all numbers read at the same
//! moment:
//!
//! | number | proxy | IPVS |
//! | --- | --- | --- |
//! | `active` | `active` of the destination | active connections; of UDP all entries, which are inactive to the kernel |
//! | `begun` | `begun` | connections |
//! | `failed` | `connect_failures`, of clients too that left before the handshake | 0 |
//! | `established` | `connections` | none: a connection is counted with its SYN |
//! | `bytes_out` | `bytes_out` | with NAT bytes out beyond bare headers, none where answers go another way |
//! | `turned_away` | `no_destination` of all its services, and the sorry server's connections | the latter |
//!
//! # What it must enforce
//!
//! [`Destination::cap`](crate::Destination::cap): no new connection for a destination that has so many, not even of a
//! persistent client; what finds no destination below its cap goes to the sorry server, or is refused at once. Where
//! the kernel does it by thresholds, those follow the entries of its table, many times from one sample to the next.
//!
//! # Invariants
//!
//! 1. No action raises a server above its cap, and none of the learned caps is above the configured one.
//! 2. A server that shows progress is never ejected for slowness.
//! 3. A server with hard evidence of death has weight 0.
//! 4. A single dead server is out within the time that its checks need, with no budget in the way.
//! 5. Soft ejections are limited in rate and by what the others can bear.
//! 6. Overload never makes a server `alive: false`, which alone lets a dataplane end connections.

mod cap;
mod checks;
mod clients;
pub(crate) mod constants;
mod ejection;
mod evidence;
mod flap;
mod learned;
mod residence;
mod sample;
mod status;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Instant;

use crate::config::{Mode, RealServer, VirtualServer};
use crate::{Observation, OutcomeKind};
use cap::{Cap, Moment};
use checks::Checks;
use clients::Clients;
use constants::*;
use ejection::Budget;
use evidence::{Class, Evidence};
use flap::Flap;
pub use learned::{Learned, LearnedServer};
pub use sample::{Load, Traffic};
pub use status::{OverloadStatus, ServerOverloadStatus};

/// What becomes of a server beside what its checks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stand {
    /// The checks decide.
    #[default]
    AsChecked,
    /// In service although checks say that it is down: it serves, so it is busy or its check is wrong.
    Kept,
    /// Out of service although checks say that it is up: it has fallen too often.
    Held,
}

/// How an outcome is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Plain,
    /// One failure is enough.
    Hasty,
    /// It says nothing: the director stood still.
    Void,
}

/// The protection of one virtual server.
#[derive(Debug)]
pub(crate) struct Overload {
    pub(crate) mode: Mode,
    /// Servers that return are given more and more; not where their clients have no other.
    ramps: bool,
    /// Wrong answers take a server out as its checks say, so that the sorry server can serve.
    believes: bool,
    /// In the order of the pool.
    guards: Vec<Guard>,
    /// When the last sample came.
    sampled: Option<Instant>,
    /// When the director went on after it had stood still.
    resumed: Option<Instant>,
    turned_away: Option<u64>,
    /// Per second, smoothed.
    turned_away_rate: f64,
    /// Somebody was turned away between the last two samples.
    shedding: bool,
    /// Connections of the server that has most of them.
    fullest: u64,
    budget: Budget,
}

/// What is known of one real server.
#[derive(Debug)]
struct Guard {
    /// The configured cap.
    most: Option<u32>,
    evidence: Evidence,
    checks: Checks,
    clients: Clients,
    flap: Flap,
    /// What the last failed check meant.
    class: Option<Class>,
    healthy: bool,
    /// Its checks have taken it out of service, and it stays out until they are good.
    let_go: bool,
    /// Because of wrong answers, which the others could bear.
    soft: bool,
    stand: Stand,
    allowed: Option<u32>,
}

impl Overload {
    /// For a pool of which nothing is known.
    pub(crate) fn new(config: &VirtualServer) -> Overload {
        let mut overload = Overload {
            mode: config.overload,
            ramps: true,
            believes: false,
            guards: Vec::new(),
            sampled: None,
            resumed: None,
            turned_away: None,
            turned_away_rate: 0.0,
            shedding: false,
            fullest: 0,
            budget: Budget::default(),
        };
        overload.reload(config, std::iter::empty());
        overload
    }

    /// Takes another pool than `before`; what is known of servers that stay is kept. Both in ascending order of address.
    pub(crate) fn reload(&mut self, config: &VirtualServer, before: impl Iterator<Item = SocketAddr>) {
        let pool = &config.real_servers;
        self.mode = config.overload;
        self.ramps = config.any_server;
        self.believes = config.sorry_server.is_some() || pool.len() == 1;
        let guards = std::mem::replace(&mut self.guards, Vec::with_capacity(pool.len()));
        let mut known = before.zip(guards).peekable();
        for server in pool {
            while known.next_if(|(address, _)| *address < server.address).is_some() {}
            let guard = match known.next_if(|(address, _)| *address == server.address) {
                Some((_, guard)) => Guard { most: server.most(), ..guard },
                None => Guard::new(server),
            };
            self.guards.push(guard);
        }
        self.settle_caps();
    }

    /// When there is nothing to go by any more, unless a sample comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.sampled?.checked_add(BLIND)
    }

    /// What becomes of a server.
    pub(crate) fn stand(&self, index: usize) -> Stand {
        self.guards[index].stand
    }

    /// The most connections that a server may have.
    pub(crate) fn cap(&self, index: usize) -> Option<u32> {
        self.guards[index].allowed
    }

    /// How an outcome is to be taken; and takes it in.
    pub(crate) fn observe(&mut self, now: Instant, index: usize, seen: &Observation) -> Reading {
        let Some(sampled) = self.sampled else { return Reading::Plain };
        let kind = seen.outcome.kind;
        let began = evidence::began(now, seen.latency);
        let late = now.saturating_duration_since(sampled) > LATE;
        let stood_still = late || self.resumed.is_some_and(|at| began.is_none_or(|began| began < at));
        if kind == OutcomeKind::NotRun || stood_still && evidence::blames_time(kind) {
            return Reading::Void;
        }
        let guard = &mut self.guards[index];
        let latency = seen.latency.as_secs_f64();
        if !kind.is_failure() {
            if guard.healthy {
                guard.class = None;
            }
            if !stood_still {
                guard.check(now, Some(latency), false);
            }
            return Reading::Plain;
        }
        let class = guard.evidence.failed(now, kind);
        guard.class = Some(class);
        match class {
            Class::Saturated => {
                let waited = evidence::blames_time(kind).then_some(latency);
                guard.check(now, waited, true);
                Reading::Plain
            }
            Class::Dead if kind == OutcomeKind::Unreachable || !self.most_are_silent(now) => Reading::Hasty,
            _ => Reading::Plain,
        }
    }

    fn most_are_silent(&self, now: Instant) -> bool {
        let silent = self.guards.iter().filter(|it| it.evidence.is_silent(now)).count();
        silent > 1 && silent as f64 > SILENT_SHARE * self.guards.len() as f64
    }

    /// Follows the checks' verdict on a server.
    pub(crate) fn judge(&mut self, now: Instant, index: usize, healthy: bool) {
        let blind = self.sampled.is_none();
        let guard = &mut self.guards[index];
        if healthy && !guard.healthy && guard.let_go && !blind {
            guard.flap.rose(now);
        }
        guard.healthy = healthy;
        if blind {
            guard.stand = Stand::AsChecked;
            guard.let_go = !healthy;
            return;
        }
        if healthy {
            (guard.let_go, guard.soft, guard.class) = (false, false, None);
            guard.stand = if guard.flap.is_held() { Stand::Held } else { Stand::AsChecked };
        } else if !guard.let_go {
            self.doubt(now, index);
        }
        let (fullest, ramps) = (self.fullest, self.ramps);
        self.guards[index].allow(now, fullest, ramps);
    }

    /// Takes in what the dataplane has counted; `place` tells where in the pool a server is.
    pub(crate) fn sample(
        &mut self,
        now: Instant,
        traffic: &Traffic,
        place: impl Fn(SocketAddr) -> Option<usize>,
    ) {
        let Some(before) = self.sampled.replace(now) else {
            self.remember(traffic, place);
            self.guards.iter_mut().for_each(|it| it.evidence.resume(now));
            return;
        };
        let gap = now.saturating_duration_since(before);
        if gap > LATE {
            self.resumed = Some(now);
            self.guards.iter_mut().for_each(|it| it.evidence.resume(now));
            self.remember(traffic, place);
            return;
        }
        let seconds = gap.as_secs_f64();
        if seconds < 0.01 {
            self.sampled = Some(before);
            return;
        }
        let turned_away = traffic.turned_away.saturating_sub(self.turned_away.unwrap_or(traffic.turned_away));
        self.shedding = turned_away > 0;
        let share = 1.0 - (-seconds / DEMAND_SPAN).exp();
        self.turned_away_rate += share * (turned_away as f64 / seconds - self.turned_away_rate);
        let waiting = self.guards.iter().filter(|it| it.waits(now)).count();
        let pool_waits = waiting > 1 && waiting as f64 >= WAITING_SHARE * self.guards.len() as f64;
        let peers_rest = self.peers_rest();
        for load in &traffic.real_servers {
            let Some(guard) = place(load.address).and_then(|index| self.guards.get_mut(index)) else {
                continue;
            };
            let Some(before) = guard.clients.load(load.address) else { continue };
            let change = sample::Change::between(&before, load, seconds);
            guard.evidence.sample(now, &change);
            let shedding = turned_away > 0;
            let moment = Moment { now, active: load.active, shedding, pool_waits, peers_rest };
            guard.clients.sample(&mut guard.checks, moment, load, &change);
        }
        self.remember(traffic, place);
        self.reconsider(now);
    }

    /// The median residence at rest, if more than one server knows its own.
    fn peers_rest(&self) -> Option<f64> {
        let mut known: Vec<_> =
            self.guards.iter().filter_map(|it| it.clients.cap()?.at_rest.residence()).collect();
        known.sort_unstable_by(f64::total_cmp);
        known.get(known.len() / 2).copied().filter(|_| known.len() > 1)
    }

    /// Nothing has come from the dataplane for so long that nothing is known.
    pub(crate) fn go_blind(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.sampled = None;
            self.shedding = false;
            self.turned_away_rate = 0.0;
            for guard in &mut self.guards {
                guard.clients.forget_load();
                guard.stand = Stand::AsChecked;
                (guard.let_go, guard.soft) = (!guard.healthy, false);
                guard.allowed = guard.most;
            }
        }
    }

    /// All that does not follow from one server alone.
    fn reconsider(&mut self, now: Instant) {
        let wrong = self.guards.iter().filter(|it| it.evidence.was_wrong(now)).count();
        let correlated = ejection::is_correlated(wrong, self.guards.len());
        for index in 0..self.guards.len() {
            let guard = &mut self.guards[index];
            if guard.healthy {
                if guard.flap.release(now, self.shedding) {
                    guard.stand = Stand::AsChecked;
                }
            } else if guard.soft && correlated {
                (guard.let_go, guard.soft) = (false, false);
                guard.stand = Stand::Kept;
                guard.evidence.resume(now);
            } else if !guard.let_go {
                self.doubt(now, index);
                if self.guards[index].class == Some(Class::Wrong) && !correlated {
                    self.eject_softly(now, index);
                }
            }
        }
        let (ramping, in_service) = self.guards.iter().fold((0, 0), |(ramping, all), it| {
            (ramping + usize::from(it.flap.is_ramping(now)), all + usize::from(it.in_service()))
        });
        if ramping * 2 > in_service {
            self.guards.iter_mut().for_each(|it| it.flap.skip_ramp());
        }
        let (fullest, ramps) = (self.fullest, self.ramps);
        self.guards.iter_mut().for_each(|it| it.allow(now, fullest, ramps));
    }

    /// Whether a server that its checks have given up stays in service.
    fn doubt(&mut self, now: Instant, index: usize) {
        let guard = &mut self.guards[index];
        let serves = guard.evidence.progresses(now);
        let kept = match guard.class {
            Some(Class::Saturated) => serves,
            Some(Class::Wrong) => serves && !self.believes,
            Some(Class::Dead) => false,
            Some(Class::Idle) | None => guard.stand == Stand::Kept && serves,
        };
        if kept {
            guard.stand = Stand::Kept;
        } else {
            guard.let_go(now);
        }
    }

    fn eject_softly(&mut self, now: Instant, index: usize) {
        let pool: Vec<_> = self.guards.iter().map(Guard::burden).collect();
        let ejected = self.guards.iter().filter(|it| it.soft).count();
        if self.guards[index].stand == Stand::Kept && self.budget.grant(now, &pool, index, ejected) {
            self.guards[index].let_go(now);
            self.guards[index].soft = true;
        }
    }

    fn remember(&mut self, traffic: &Traffic, place: impl Fn(SocketAddr) -> Option<usize>) {
        self.turned_away = Some(traffic.turned_away);
        self.fullest = traffic.real_servers.iter().map(|it| it.active).max().unwrap_or(0);
        for load in &traffic.real_servers {
            if let Some(guard) = place(load.address).and_then(|index| self.guards.get_mut(index)) {
                guard.clients.remember(load);
            }
        }
    }

    fn settle_caps(&mut self) {
        for guard in &mut self.guards {
            guard.allowed = lesser(guard.allowed, guard.most);
        }
    }
}

impl Guard {
    fn new(server: &RealServer) -> Guard {
        Guard {
            most: server.most(),
            evidence: Evidence::default(),
            checks: Checks::default(),
            clients: Clients::default(),
            flap: Flap::default(),
            class: None,
            healthy: false,
            let_go: true,
            soft: false,
            stand: Stand::AsChecked,
            allowed: server.most(),
        }
    }

    /// As [`Checks::take`] does.
    fn check(&mut self, now: Instant, latency: Option<f64>, saturated: bool) {
        if self.checks.take(now, latency, saturated) {
            self.clients.confirm(&self.checks);
        }
    }

    /// Its checks say that it has more than it can do at once.
    fn waits(&self, now: Instant) -> bool {
        self.clients.cap().is_some_and(Cap::is_too_full) || self.checks.wait(now)
    }

    /// The learned cap, within the configured one.
    fn limit(&self) -> Option<u32> {
        lesser(self.clients.cap().and_then(Cap::limit), self.most)
    }

    fn let_go(&mut self, now: Instant) {
        self.clients.let_go(&mut self.checks, now);
        self.let_go = true;
        self.stand = Stand::AsChecked;
        self.flap.fell(now);
    }

    fn in_service(&self) -> bool {
        match self.stand {
            Stand::AsChecked => self.healthy,
            Stand::Kept => true,
            Stand::Held => false,
        }
    }

    fn burden(&self) -> ejection::Load {
        ejection::Load { active: self.clients.active(), limit: self.limit(), in_service: self.in_service() }
    }

    fn allow(&mut self, now: Instant, fullest: u64, ramps: bool) {
        let learned = self.limit();
        let share = if ramps { self.flap.share(now) } else { 1.0 };
        self.allowed = if share < 1.0 {
            let whole = learned.map_or(fullest as f64 + 1.0, f64::from);
            lesser(Some((whole * share).ceil().max(1.0) as u32), learned)
        } else {
            learned
        };
    }
}

fn lesser(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    a.into_iter().chain(b).min()
}
