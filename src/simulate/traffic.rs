//! Requests: how they come, wait, are served, and give up.

use super::dataplane::Kind;
use super::scenario::FaultKind;
use super::server::{Offer, State, Visitor};
use super::world::{Event, World};

/// When an unanswered SYN is sent again, after the first.
const SYN_AGAIN: [f64; 3] = [1.0, 3.0, 7.0];
/// A proxy tries another server then.
const CONNECT_TIMEOUT: f64 = 3.0;

/// One attempt of a client.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    /// Another one each time the place is used again.
    generation: u32,
    pub(super) phase: Phase,
    client: u32,
    tries: u32,
    server: u32,
    /// Those that have not taken it.
    tried: Vec<u32>,
    since: f64,
    /// In residences at rest.
    work: f64,
    /// The second that it counts in while it is served.
    counted: Option<usize>,
    established: bool,
    /// Among the dataplane's active connections.
    active: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    #[default]
    Free,
    /// The director has not found a server with room yet.
    Queued,
    /// Nobody answers.
    Silence,
    Backlog,
    Served,
    /// The client has gone and the server does not know.
    Gone,
}

impl World<'_> {
    pub(super) fn arrival(&mut self) {
        let rate = self.rate();
        let next = self.now - (1.0 - self.arrivals.f64()).ln() / rate;
        self.at(next, Event::Arrival);
        self.count(|second| second.new += 1);
        let flood = self.factor_of_flood();
        for _ in 0..flood {
            if let Some(server) = self.dataplane.choose(u32::MAX, &[]).filter(|_| !self.is_proxy()) {
                self.dataplane.counters[server].begun += 1;
            }
        }
        let client = self.arrivals.u32(0..self.scenario.clients.persistent.max(1));
        self.again(client, 0);
    }

    /// A client's attempt.
    pub(super) fn again(&mut self, client: u32, tries: u32) {
        if let (Some(end), true) = (self.stalled_until, self.is_proxy()) {
            self.at(end, Event::Again { client, tries });
            return;
        }
        self.count(|second| second.offered += 1);
        let work = self.work();
        let id = self.free.pop().unwrap_or_else(|| {
            self.requests.push(Request::default());
            (self.requests.len() - 1) as u32
        });
        let generation = self.requests[id as usize].generation;
        let since = self.now;
        self.requests[id as usize] = Request { generation, client, tries, since, work, ..Request::default() };
        self.place(id);
    }

    /// Finds a server, or nobody.
    fn place(&mut self, id: u32) {
        loop {
            let request = &self.requests[id as usize];
            let (client, generation) = (request.client, request.generation);
            let chosen = if request.tried.len() < self.director.attempts {
                self.dataplane.choose(client, &request.tried)
            } else {
                None
            };
            let Some(server) = chosen else {
                return if self.requests[id as usize].tried.is_empty() {
                    self.no_room(id)
                } else {
                    self.lost(id)
                };
            };
            self.requests[id as usize].server = server as u32;
            self.dataplane.counters[server].begun += 1;
            if let Some(since) = self.dead_since[server] {
                self.sent_to_dead(since);
            }
            if !self.offer(id, server) {
                self.dataplane.counters[server].failed += 1;
                self.requests[id as usize].tried.push(server as u32);
                continue;
            }
            if self.requests[id as usize].phase == Phase::Silence {
                let patience = self.requests[id as usize].since + self.scenario.clients.patience;
                self.at(patience, Event::GiveUp { request: id, generation });
                self.at(self.now + SYN_AGAIN[0], Event::Syn { request: id, generation, nth: 1 });
                if self.is_proxy() {
                    self.count_active(id);
                    self.at(self.now + CONNECT_TIMEOUT, Event::ConnectTimeout { request: id, generation });
                }
            }
            return;
        }
    }

    /// False when the server refuses.
    fn offer(&mut self, id: u32, server: usize) -> bool {
        let reachable = !self.has(FaultKind::Cut, server);
        let offer = if reachable { self.servers[server].offer(Visitor::Request(id)) } else { Offer::Silence };
        let generation = self.requests[id as usize].generation;
        match offer {
            Offer::Refused => return false,
            Offer::Silence => self.requests[id as usize].phase = Phase::Silence,
            Offer::Free => self.start(id, server),
            Offer::Waits => {
                self.requests[id as usize].phase = Phase::Backlog;
                let patience = self.requests[id as usize].since + self.scenario.clients.patience;
                self.at(patience, Event::GiveUp { request: id, generation });
            }
        }
        if matches!(offer, Offer::Free | Offer::Waits) {
            self.dataplane.counters[server].established += 1;
            self.requests[id as usize].established = true;
            self.count_active(id);
        }
        true
    }

    fn start(&mut self, id: u32, server: usize) {
        let mut work = self.requests[id as usize].work * self.residence(server);
        if self.requests[id as usize].phase == Phase::Gone {
            work *= self.scenario.servers.abandoned;
        } else {
            self.requests[id as usize].phase = Phase::Served;
            self.requests[id as usize].counted = self.count(|second| second.good += 1);
        }
        self.servers[server].start(self.now, id, work);
        self.reschedule(server);
    }

    pub(super) fn syn(&mut self, id: u32, generation: u32, nth: u32) {
        let Some(request) = self.current(id, generation, Phase::Silence) else { return };
        let (server, since) = (request.server as usize, request.since);
        if !self.offer(id, server) {
            self.dataplane.counters[server].failed += 1;
            self.lost(id);
        } else if self.requests[id as usize].phase == Phase::Silence
            && let Some(after) = SYN_AGAIN.get(nth as usize)
        {
            self.at(since + after, Event::Syn { request: id, generation, nth: nth + 1 });
        }
    }

    pub(super) fn connect_timeout(&mut self, id: u32, generation: u32) {
        let Some(request) = self.current(id, generation, Phase::Silence) else { return };
        let server = request.server;
        request.tried.push(server);
        self.dataplane.counters[server as usize].failed += 1;
        self.uncount_active(id);
        self.place(id);
    }

    pub(super) fn give_up(&mut self, id: u32, generation: u32) {
        if let Some(request) = self.current(id, generation, Phase::Silence) {
            let server = request.server as usize;
            // A connection that lived when its server died has failed no connect.
            self.dataplane.counters[server].failed += u64::from(!request.established);
            self.lost(id);
        } else if let Some(request) = self.current(id, generation, Phase::Backlog) {
            request.phase = Phase::Gone;
            let (client, tries) = (request.client, request.tries);
            // A proxy's connection to the server lasts until the server has looked at it.
            if self.director.dataplane == Kind::Ipvs {
                self.uncount_active(id);
            }
            self.come_again(client, tries);
        }
    }

    /// No server has room.
    fn no_room(&mut self, id: u32) {
        let generation = self.requests[id as usize].generation;
        if self.director.queue > 0.0 {
            self.requests[id as usize].phase = Phase::Queued;
            let wait = self.director.queue.min(self.scenario.clients.patience);
            self.at(self.now + wait, Event::QueueTimeout { request: id, generation });
            self.queued.push_back((id, generation));
            return;
        }
        self.turned_away(id);
    }

    pub(super) fn queue_timeout(&mut self, id: u32, generation: u32) {
        if self.current(id, generation, Phase::Queued).is_some() {
            self.turned_away(id);
        }
    }

    /// Gives those who wait what has become free.
    pub(super) fn serve_queue(&mut self) {
        while let Some((id, generation)) = self.queued.front().copied() {
            let Some(request) = self.current(id, generation, Phase::Queued) else {
                self.queued.pop_front();
                continue;
            };
            let client = request.client;
            if self.dataplane.choose(client, &[]).is_none() {
                return;
            }
            self.queued.pop_front();
            self.requests[id as usize].phase = Phase::Free;
            self.place(id);
        }
    }

    /// The server has ended the request that was the first to be done.
    pub(super) fn complete(&mut self, server: usize) {
        if let Some(id) = self.servers[server].finish(self.now) {
            if self.has(FaultKind::Cut, server) {
                self.withheld.push((server, id));
            } else {
                self.answered(server, id);
            }
        }
        while let Some(visitor) = self.servers[server].next_waiting() {
            match visitor {
                Visitor::Request(id) => self.start(id, server),
                Visitor::Check(generation) => self.check_served(server, generation),
            }
        }
        self.reschedule(server);
        self.serve_queue();
    }

    /// The director sees the end of a request.
    pub(super) fn answered(&mut self, server: usize, id: u32) {
        self.dataplane.counters[server].answers += 1;
        self.uncount_active(id);
        self.release(id);
    }

    /// A server has died with all that it had.
    pub(super) fn death(&mut self, server: usize, state: State) {
        self.dead_since[server] = Some(self.now);
        for visitor in self.servers[server].die(self.now, state) {
            let Visitor::Request(id) = visitor else { continue };
            let generation = self.requests[id as usize].generation;
            // No director could have saved what was being served.
            self.requests[id as usize].counted = None;
            if self.requests[id as usize].phase == Phase::Gone || state == State::Refusing {
                self.lost(id);
            } else {
                // Its client finds out by itself.
                self.requests[id as usize].phase = Phase::Silence;
                let patience = self.now + self.scenario.clients.patience;
                self.at(patience, Event::GiveUp { request: id, generation });
            }
        }
        self.reschedule(server);
    }

    /// The director ends all connections of a server, which goes on with its work for nobody.
    pub(super) fn kill_flows(&mut self, server: usize) {
        for id in 0..self.requests.len() as u32 {
            let request = &mut self.requests[id as usize];
            if request.server as usize != server {
                continue;
            }
            match request.phase {
                Phase::Silence => self.lost(id),
                Phase::Backlog | Phase::Served => {
                    request.phase = Phase::Gone;
                    self.not_served(id);
                    let request = &mut self.requests[id as usize];
                    let (client, tries) = (request.client, request.tries);
                    self.uncount_active(id);
                    if self.now >= self.scenario.warm_up {
                        self.score.flows_killed += 1;
                    }
                    self.come_again(client, tries);
                }
                Phase::Free | Phase::Queued | Phase::Gone => {}
            }
        }
        let requests = &self.requests;
        let gone = |id: u32| requests[id as usize].phase == Phase::Gone;
        self.servers[server].abandon(self.now, self.scenario.servers.abandoned, gone);
        self.reschedule(server);
    }

    fn turned_away(&mut self, id: u32) {
        self.dataplane.turned_away += 1;
        self.count(|second| second.shed += 1);
        self.lost(id);
    }

    /// The attempt has failed and is no more.
    fn lost(&mut self, id: u32) {
        let Request { client, tries, phase, .. } = self.requests[id as usize];
        self.not_served(id);
        self.uncount_active(id);
        self.release(id);
        if phase != Phase::Gone {
            self.come_again(client, tries);
        }
    }

    /// What was being served has come to nothing.
    fn not_served(&mut self, id: u32) {
        if let Some(second) = self.requests[id as usize].counted.take() {
            self.score.seconds[second].good -= 1;
        }
    }

    fn come_again(&mut self, client: u32, tries: u32) {
        let clients = &self.scenario.clients;
        if tries < clients.tries && self.rng.f64() < clients.come_again {
            let delay = -(1.0 - self.rng.f64()).ln() * clients.delay;
            self.at(self.now + delay, Event::Again { client, tries: tries + 1 });
        }
    }

    fn release(&mut self, id: u32) {
        let request = &mut self.requests[id as usize];
        request.phase = Phase::Free;
        request.generation = request.generation.wrapping_add(1);
        self.free.push(id);
    }

    fn current(&mut self, id: u32, generation: u32, phase: Phase) -> Option<&mut Request> {
        let request = &mut self.requests[id as usize];
        (request.generation == generation && request.phase == phase).then_some(request)
    }

    fn count_active(&mut self, id: u32) {
        let request = &mut self.requests[id as usize];
        if !std::mem::replace(&mut request.active, true) {
            self.dataplane.counters[request.server as usize].active += 1;
        }
    }

    fn uncount_active(&mut self, id: u32) {
        let request = &mut self.requests[id as usize];
        if std::mem::replace(&mut request.active, false) {
            self.dataplane.counters[request.server as usize].active -= 1;
        }
    }

    fn sent_to_dead(&mut self, since: f64) {
        if self.now < self.scenario.warm_up {
            return;
        }
        self.score.to_dead += 1;
        let check = &self.scenario.check;
        let told = since + check.interval * f64::from(check.fall) + check.timeout;
        self.score.to_known_dead += u64::from(self.now > told);
    }

    /// Of new requests, per second.
    fn rate(&self) -> f64 {
        let since = self.now - self.scenario.warm_up;
        let load = &self.scenario.load;
        let step = load.iter().rev().find(|it| it.at <= since).unwrap_or(&load[0]);
        self.scenario.rate(step)
    }

    fn factor_of_flood(&self) -> u32 {
        if self.has(FaultKind::Flood, 0) { self.factor(FaultKind::Flood, 0) as u32 } else { 0 }
    }

    /// Log-normal with mean 1.
    fn work(&mut self) -> f64 {
        let variance = (1.0 + self.scenario.servers.variation.powi(2)).ln();
        if variance == 0.0 {
            return 1.0;
        }
        let (radius, angle) = (1.0 - self.arrivals.f64(), self.arrivals.f64() * std::f64::consts::TAU);
        let normal = (-2.0 * radius.ln()).sqrt() * angle.cos();
        (normal * variance.sqrt() - variance / 2.0).exp()
    }
}
