//! What the engine should decide, worked out the slow way: every outcome is remembered, and every verdict is
//! folded anew from the first one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::*;

#[derive(Default)]
pub(super) struct Model {
    pub(super) pools: BTreeMap<Arc<str>, Pool>,
}

pub(super) struct Pool {
    config: VirtualServer,
    pub(super) held: bool,
    pub(super) servers: BTreeMap<SocketAddr, Member>,
}

pub(super) struct Member {
    config: RealServer,
    drained: bool,
    operator_weight: Option<u32>,
    facts: BTreeMap<Arc<str>, Vec<Fact>>,
    pub(super) state: State,
    /// When it last recovered, while that still matters.
    recovered: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Unknown,
    /// Unknown, and assumed up.
    Assumed,
    Up,
    Down,
}

enum Fact {
    Assumed,
    Outcome { passed: bool, rules: Check },
}

impl Model {
    pub(super) fn reload(&mut self, now: Instant, config: &Config) {
        let mut known = std::mem::take(&mut self.pools);
        for config in &config.virtual_servers {
            let old = known.remove(&config.name);
            let before = old.as_ref().map(|old| (old.held, old.serves(now)));
            let mut pool = Pool::reload(now, config, old);
            pool.settle(now);
            if let Some(before) = before {
                pool.assume_if_that_helps(now, before);
            }
            pool.judge();
            self.pools.insert(config.name.clone(), pool);
        }
    }

    pub(super) fn observe(&mut self, now: Instant, probe: ProbeId, kind: OutcomeKind) {
        for pool in self.pools.values_mut() {
            for member in pool.servers.values_mut() {
                for (rules, asked) in pool.config.checks.iter().zip(&member.config.probes) {
                    if *asked == probe && kind != OutcomeKind::NotRun {
                        let fact =
                            Fact::Outcome { passed: kind == OutcomeKind::Passed, rules: rules.clone() };
                        member.facts.entry(rules.key.clone()).or_default().push(fact);
                    }
                }
            }
        }
        self.settle(now);
    }

    /// False when there is nobody to obey.
    pub(super) fn obey(&mut self, now: Instant, command: &Command) -> bool {
        let (name, address) = command.target();
        let Some(member) = self.pools.get_mut(name).and_then(|pool| pool.servers.get_mut(&address)) else {
            return false;
        };
        match command {
            Command::Drain { .. } => member.drained = true,
            Command::Enable { .. } => (member.drained, member.operator_weight) = (false, None),
            Command::Weight { weight, .. } => member.operator_weight = Some(*weight),
        }
        self.settle(now);
        true
    }

    fn settle(&mut self, now: Instant) {
        for pool in self.pools.values_mut() {
            pool.settle(now);
            pool.judge();
        }
    }
}

impl Pool {
    fn reload(now: Instant, config: &VirtualServer, old: Option<Pool>) -> Pool {
        let old_slow_start = old.as_ref().map_or(Duration::ZERO, |old| old.config.slow_start);
        let held = old.as_ref().is_some_and(|old| old.held);
        let mut known = old.map(|old| old.servers).unwrap_or_default();
        let mut servers = BTreeMap::new();
        for server in &config.real_servers {
            let mut member = known.remove(&server.address).unwrap_or_else(|| Member::new(server));
            member.config = server.clone();
            member.recovered = member.recovered.filter(|start| now - *start < old_slow_start);
            member.facts.retain(|key, _| config.checks.iter().any(|rules| rules.key == *key));
            for rules in &config.checks {
                let facts = member.facts.entry(rules.key.clone()).or_default();
                if facts.is_empty() && (member.state == State::Up || rules.initially == Initially::Up) {
                    facts.push(Fact::Assumed);
                }
            }
            servers.insert(server.address, member);
        }
        Pool { config: config.clone(), held, servers }
    }

    fn settle(&mut self, now: Instant) {
        for member in self.servers.values_mut() {
            member.settle(now, &self.config.checks);
        }
    }

    fn judge(&mut self) {
        let (sum, quorum) = (self.sum(), u64::from(self.config.quorum));
        let hysteresis = u64::from(self.config.hysteresis);
        if sum >= quorum + hysteresis && sum > 0 {
            self.held = true;
        } else if sum + hysteresis < quorum || sum == 0 {
            self.held = false;
        }
    }

    /// Tries what comes of the pool with its unknown servers and without; `before` is whether the quorum was
    /// held and whether the pool got traffic.
    fn assume_if_that_helps(&mut self, now: Instant, before: (bool, bool)) {
        let without = self.outlook(now);
        let usable =
            |member: &&mut Member| member.state == State::Unknown && !member.drained && member.target() > 0;
        let assumed: Vec<_> = self.servers.values_mut().filter(usable).map(|it| it.config.address).collect();
        self.mark(&assumed, State::Assumed);
        let with = self.outlook(now);
        let saves_quorum = before.0 && !without.0 && with.0;
        let saves_traffic = before.1 && !without.1 && with.1;
        if !saves_quorum && !saves_traffic {
            self.mark(&assumed, State::Unknown);
        }
    }

    fn mark(&mut self, servers: &[SocketAddr], state: State) {
        for address in servers {
            self.servers.get_mut(address).unwrap().state = state;
        }
    }

    /// Whether the quorum would be held, and whether the pool would get traffic.
    fn outlook(&mut self, now: Instant) -> (bool, bool) {
        let held = self.held;
        self.judge();
        let outlook = (self.held, self.serves(now));
        self.held = held;
        outlook
    }

    fn serves(&self, now: Instant) -> bool {
        let pool = |destination: &Destination| destination.role == Role::RealServer;
        self.desired(now).destinations.iter().filter(|it| pool(it)).any(|it| it.weight > 0)
    }

    pub(super) fn sum(&self) -> u64 {
        self.servers.values().map(|member| u64::from(member.whole_weight())).sum()
    }

    pub(super) fn desired(&self, now: Instant) -> Desired {
        let sorry = self.config.sorry_server.filter(|_| !self.held);
        let open = self.may_yet_be_held();
        let pool = self.servers.values().map(|member| Destination {
            address: member.config.address,
            weight: if sorry.is_some() { 0 } else { member.weight(now, self.config.slow_start) },
            cap: None,
            alive: member.state != State::Down,
            decided: member.unknown_weight() == 0 && (sorry.is_none() || member.whole_weight() == 0 || !open),
            role: Role::RealServer,
        });
        let sorry = sorry.map(|address| Destination {
            address,
            weight: 1,
            cap: None,
            alive: true,
            decided: !open,
            role: Role::SorryServer,
        });
        Desired { destinations: pool.chain(sorry).collect() }
    }

    /// The quorum is not held, but would be if every unknown server turned out to be up.
    fn may_yet_be_held(&self) -> bool {
        let at_best: u64 = self
            .servers
            .values()
            .map(|member| u64::from(member.whole_weight() + member.unknown_weight()))
            .sum();
        !self.held
            && at_best > 0
            && at_best >= u64::from(self.config.quorum) + u64::from(self.config.hysteresis)
    }

    /// Weights as if the quorum were held.
    pub(super) fn weights(&self, now: Instant) -> Vec<u32> {
        self.servers.values().map(|member| member.weight(now, self.config.slow_start)).collect()
    }
}

impl Member {
    fn new(config: &RealServer) -> Member {
        Member {
            config: config.clone(),
            drained: false,
            operator_weight: None,
            facts: BTreeMap::new(),
            state: State::Unknown,
            recovered: None,
        }
    }

    fn settle(&mut self, now: Instant, checks: &[Check]) {
        let verdicts: Vec<_> = checks.iter().map(|rules| fold(&self.facts[&rules.key])).collect();
        let state = if verdicts.iter().all(|verdict| *verdict == Some(true)) {
            State::Up
        } else if verdicts.contains(&Some(false)) || matches!(self.state, State::Up | State::Down) {
            State::Down
        } else {
            self.state
        };
        if state != self.state {
            self.recovered = (self.state == State::Down).then_some(now);
        }
        self.state = state;
    }

    pub(super) fn target(&self) -> u32 {
        self.operator_weight.unwrap_or(self.config.weight)
    }

    fn whole_weight(&self) -> u32 {
        let up = matches!(self.state, State::Up | State::Assumed);
        if up && !self.drained { self.target() } else { 0 }
    }

    /// What being up would give it.
    fn unknown_weight(&self) -> u32 {
        if self.state == State::Unknown && !self.drained { self.target() } else { 0 }
    }

    /// The least whole weight that is no smaller than the share of the slow start that has passed.
    fn weight(&self, now: Instant, slow_start: Duration) -> u32 {
        let target = self.whole_weight();
        let Some(elapsed) = self.recovered.map(|start| now - start).filter(|elapsed| *elapsed < slow_start)
        else {
            return target;
        };
        let enough = |weight: &u32| slow_start * *weight >= elapsed * target;
        (1..target).find(enough).unwrap_or(target)
    }
}

/// The verdict of a whole history: up, down or unknown.
fn fold(facts: &[Fact]) -> Option<bool> {
    let mut verdict = None;
    let mut streak = 0_i64; // Passes in a row, or failures in a row as a negative number.
    for fact in facts {
        let Fact::Outcome { passed, rules } = fact else {
            verdict = Some(true);
            continue;
        };
        streak = if *passed { streak.max(0) + 1 } else { streak.min(0) - 1 };
        verdict = match verdict {
            None => Some(*passed),
            Some(true) => Some(rules.only_admission || streak > -i64::from(rules.fall)),
            Some(false) => Some(streak >= i64::from(rules.rise)),
        };
    }
    verdict
}
