//! The simulated world: time, events, servers, and the director in front of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;

use super::checks::CheckRun;
use super::dataplane::{Dataplane, Kind};
use super::order::Ordered;
use super::policy::{Brain, Director, Policy};
use super::scenario::{Fault, FaultKind, Scenario};
use super::score::{Score, Second};
use super::server::{Server, Shape, State};
use super::traffic::Request;

/// How often the dataplane's counters are read.
const SAMPLE: f64 = 0.5;

pub(super) struct World<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) director: Director,
    policy: Policy,
    pub(super) brain: Box<dyn Brain>,
    pub(super) dataplane: Dataplane,
    pub(super) servers: Vec<Server>,
    /// When each server next ends a request.
    next_done: Vec<f64>,
    /// When each server died, if it is dead.
    pub(super) dead_since: Vec<Option<f64>>,
    pub(super) checks: Vec<CheckRun>,
    pub(super) requests: Vec<Request>,
    pub(super) free: Vec<u32>,
    /// Ended behind a cut: the server, and the request.
    pub(super) withheld: Vec<(usize, u32)>,
    pub(super) queued: std::collections::VecDeque<(u32, u32)>,
    events: BinaryHeap<Reverse<(Ordered, u64, Event)>>,
    sequence: u64,
    /// Of arrivals and the work they bring.
    pub(super) arrivals: Rng,
    /// Of all else.
    pub(super) rng: Rng,
    pub(super) now: f64,
    /// Faults that are there now, by their number in the scenario.
    faults: Vec<bool>,
    /// When a stalled director goes on.
    pub(super) stalled_until: Option<f64>,
    pub(super) score: Score,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A new client; the next one follows from it.
    Arrival,
    /// A client comes for the `tries`-th time.
    Again {
        client: u32,
        tries: u32,
    },
    /// An unanswered SYN is sent again for the n-th time.
    Syn {
        request: u32,
        generation: u32,
        nth: u32,
    },
    ConnectTimeout {
        request: u32,
        generation: u32,
    },
    GiveUp {
        request: u32,
        generation: u32,
    },
    QueueTimeout {
        request: u32,
        generation: u32,
    },
    CheckStart {
        server: u32,
    },
    CheckEnd {
        server: u32,
        generation: u32,
        passed: bool,
    },
    Sample,
    Fault {
        number: u32,
        begins: bool,
    },
}

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario, policy: Policy, seed: u64) -> Self {
        let director = policy.director();
        let brain = policy.brain(scenario);
        let dataplane = Dataplane::new(director.dataplane, brain.destinations(), scenario.clients.persistent);
        let count = scenario.servers.count;
        let seconds = scenario.duration.ceil() as usize;
        let mut world = Self {
            scenario,
            director,
            policy,
            brain,
            dataplane,
            servers: Vec::new(),
            next_done: vec![f64::INFINITY; count],
            dead_since: vec![None; count],
            checks: vec![CheckRun::default(); count],
            requests: Vec::new(),
            free: Vec::new(),
            withheld: Vec::new(),
            queued: std::collections::VecDeque::new(),
            events: BinaryHeap::new(),
            sequence: 0,
            arrivals: Rng::with_seed(seed),
            rng: Rng::with_seed(!seed),
            now: 0.0,
            faults: vec![false; scenario.fault.len()],
            stalled_until: None,
            score: Score { seconds: vec![Second::default(); seconds], ..Score::default() },
        };
        world.servers = (0..count).map(|index| Server::new(world.shape(index))).collect();
        world.schedule();
        world
    }

    /// Runs to the end.
    pub(super) fn run(mut self) -> Score {
        let end = self.scenario.warm_up + self.scenario.duration;
        let mut noted = 0;
        loop {
            let (server, done) = self.next_completion();
            let at = self.events.peek().map_or(f64::INFINITY, |Reverse((at, ..))| at.0).min(done);
            while noted < self.score.seconds.len() && at >= self.scenario.warm_up + (noted + 1) as f64 {
                self.note(noted);
                noted += 1;
            }
            if at >= end {
                return self.score;
            }
            self.now = at;
            if done <= at {
                self.complete(server);
            } else if let Some(Reverse((_, _, event))) = self.events.pop() {
                self.happen(event);
            }
        }
    }

    pub(super) fn at(&mut self, time: f64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((Ordered(time), self.sequence, event)));
    }

    /// Counts in the present second, if that is measured, and says which it is.
    pub(super) fn count(&mut self, count: impl FnOnce(&mut Second)) -> Option<usize> {
        let since = self.now - self.scenario.warm_up;
        let second = (since >= 0.0).then_some(since as usize)?;
        count(self.score.seconds.get_mut(second)?);
        Some(second)
    }

    /// To be called after whatever may change when a server next ends a request.
    pub(super) fn reschedule(&mut self, server: usize) {
        self.next_done[server] = self.servers[server].next_done();
    }

    /// Whether a fault of this kind is there, for this server.
    pub(super) fn has(&self, kind: FaultKind, server: usize) -> bool {
        self.present(kind, server).next().is_some()
    }

    /// The factor of the faults of this kind that are there; 1 for none.
    pub(super) fn factor(&self, kind: FaultKind, server: usize) -> f64 {
        self.present(kind, server).map(|fault| fault.factor).product()
    }

    fn present(&self, kind: FaultKind, server: usize) -> impl Iterator<Item = &'a Fault> {
        let faults = self.scenario.fault.iter().zip(&self.faults).filter(|(_, present)| **present);
        let here = move |fault: &&Fault| fault.kind == kind && (fault.servers == 0 || server < fault.servers);
        faults.map(|(fault, _)| fault).filter(here)
    }

    /// Makes the dataplane what the policy wants.
    pub(super) fn apply(&mut self) {
        for index in 0..self.servers.len() {
            let wanted = self.brain.destinations()[index];
            let before = std::mem::replace(&mut self.dataplane.destinations[index], wanted);
            if before == wanted {
                continue;
            }
            let reachable = self.dead_since[index].is_none() && !self.has(FaultKind::Cut, index);
            if before.weight > 0 && wanted.weight == 0 && reachable && self.now >= self.scenario.warm_up {
                self.score.wrong_ejections += 1;
            }
            if before.present && !wanted.present {
                self.kill_flows(index);
            }
        }
        self.serve_queue();
    }

    fn schedule(&mut self) {
        let Scenario { warm_up, load, fault, check, .. } = self.scenario;
        self.at(0.0, Event::Arrival);
        self.at(SAMPLE, Event::Sample);
        let count = self.servers.len();
        match self.director.checks {
            super::policy::Checks::Never => {}
            super::policy::Checks::Parallel => {
                for server in 0..count {
                    let offset = check.interval * server as f64 / count as f64;
                    self.at(offset, Event::CheckStart { server: server as u32 });
                }
            }
            super::policy::Checks::Serial => self.at(0.0, Event::CheckStart { server: 0 }),
        }
        let mut changes: Vec<f64> = load.iter().map(|it| it.at).collect();
        for (number, fault) in fault.iter().enumerate() {
            let repeat = if fault.every > 0.0 { self.scenario.duration / fault.every } else { 0.0 };
            for nth in 0..=repeat as u32 {
                let begin = fault.at + f64::from(nth) * fault.every;
                for (at, begins) in [(begin, true), (begin + fault.lasts, false)] {
                    if at < self.scenario.duration {
                        changes.push(at);
                        self.at(warm_up + at, Event::Fault { number: number as u32, begins });
                    }
                }
            }
        }
        self.score.last_change = changes.into_iter().fold(0.0, f64::max);
    }

    fn next_completion(&self) -> (usize, f64) {
        let mut next = (0, f64::INFINITY);
        for (index, at) in self.next_done.iter().enumerate() {
            if *at < next.1 {
                next = (index, *at);
            }
        }
        next
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrival(),
            Event::Again { client, tries } => self.again(client, tries),
            Event::Syn { request, generation, nth } => self.syn(request, generation, nth),
            Event::ConnectTimeout { request, generation } => self.connect_timeout(request, generation),
            Event::GiveUp { request, generation } => self.give_up(request, generation),
            Event::QueueTimeout { request, generation } => self.queue_timeout(request, generation),
            Event::CheckStart { server } => self.check_start(server as usize),
            Event::CheckEnd { server, generation, passed } => {
                self.check_end(server as usize, generation, passed);
            }
            Event::Sample => self.sample(),
            Event::Fault { number, begins } => self.fault(number as usize, begins),
        }
    }

    fn sample(&mut self) {
        if let Some(end) = self.stalled_until {
            self.at(end, Event::Sample);
            return;
        }
        self.brain.sample(self.now, &self.dataplane.counters, self.dataplane.turned_away);
        self.apply();
        self.at(self.now + SAMPLE, Event::Sample);
    }

    fn fault(&mut self, number: usize, begins: bool) {
        self.faults[number] = begins;
        let fault = &self.scenario.fault[number];
        let affected = if fault.servers == 0 { self.servers.len() } else { fault.servers };
        match (fault.kind, begins) {
            (FaultKind::Power, true) => (0..affected).for_each(|server| self.death(server, State::Silent)),
            (FaultKind::Crash, true) => (0..affected).for_each(|server| self.death(server, State::Refusing)),
            (FaultKind::Power | FaultKind::Crash, false) => {
                for server in 0..affected {
                    self.servers[server].state = State::Alive;
                    self.dead_since[server] = None;
                }
            }
            (FaultKind::Leak | FaultKind::Grow, _) => {
                for server in 0..affected {
                    let shape = self.shape(server);
                    self.servers[server].reshape(self.now, shape);
                    self.reschedule(server);
                }
            }
            (FaultKind::Cut, false) => {
                for (server, id) in std::mem::take(&mut self.withheld) {
                    self.answered(server, id);
                }
            }
            (FaultKind::Stall, _) => self.stalled_until = begins.then_some(self.now + fault.lasts),
            (FaultKind::Takeover, true) => {
                self.brain = self.policy.brain(self.scenario);
                self.apply();
            }
            _ => {}
        }
    }

    fn shape(&self, server: usize) -> Shape {
        let servers = &self.scenario.servers;
        let size = servers.size_of(server)
            * self.factor(FaultKind::Leak, server)
            * self.factor(FaultKind::Grow, server);
        Shape {
            slots: (servers.slots * size).round() as usize,
            knee: servers.knee * size,
            backlog: servers.backlog.round() as usize,
            slowdown: servers.slowdown,
        }
    }

    /// How long a request takes at rest.
    pub(super) fn residence(&self, server: usize) -> f64 {
        self.scenario.servers.residence * self.factor(FaultKind::Grow, server)
    }

    fn note(&mut self, second: usize) {
        let alive = (0..self.servers.len()).filter(|it| self.dead_since[*it].is_none());
        let capacity = alive.map(|it| self.servers[it].shape.knee / self.residence(it)).sum();
        let in_service = self.dataplane.destinations.iter().filter(|it| it.weight > 0).count();
        let Some(noted) = self.score.seconds.get_mut(second) else { return };
        noted.capacity = capacity;
        noted.in_service = in_service;
    }

    pub(super) fn is_proxy(&self) -> bool {
        self.director.dataplane == Kind::Proxy
    }
}
