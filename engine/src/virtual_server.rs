//! One virtual server: its pool, its quorum, and who gets traffic.
//!
//! Invariant: after every method the quorum agrees with the pool, and its time and events tell of real changes
//! only. A new virtual server starts from a quorum that is not held; its first judgement makes no event.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config;
use crate::config::Mode;
use crate::effects::{Desired, Destination, Event, Role};
use crate::input::{Command, Observation};
use crate::overload::{LearnedServer, Overload, Reading, Stand, Traffic};
use crate::quorum::Band;
use crate::real_server::RealServer;

#[derive(Debug)]
pub(crate) struct VirtualServer {
    pub(crate) name: Arc<str>,
    pub(crate) band: Band,
    pub(crate) held: bool,
    /// Not held, merely because servers have not been checked yet.
    undecided: bool,
    /// When `held` last changed.
    pub(crate) since: Instant,
    pub(crate) sorry_server: Option<SocketAddr>,
    pub(crate) slow_start: Duration,
    /// None when it is off.
    pub(crate) overload: Option<Overload>,
    pub(crate) checks: Vec<config::Check>,
    /// In ascending order of address.
    pub(crate) real_servers: Vec<RealServer>,
}

impl VirtualServer {
    /// A virtual server of which nothing is known. Its pool must be in ascending order of address.
    pub(crate) fn new(now: Instant, config: config::VirtualServer) -> VirtualServer {
        let band = Band { quorum: config.quorum, hysteresis: config.hysteresis };
        let real_servers =
            config.real_servers.iter().map(|server| RealServer::new(now, server, &config.checks)).collect();
        let overload = (config.overload != Mode::Off).then(|| Overload::new(&config));
        let mut virtual_server = VirtualServer {
            name: config.name,
            band,
            held: false,
            undecided: false,
            since: now,
            sorry_server: config.sorry_server,
            slow_start: config.slow_start,
            overload,
            checks: config.checks,
            real_servers,
        };
        virtual_server.follow(now, &mut Vec::new());
        virtual_server.judge(now, &mut Vec::new());
        virtual_server
    }

    /// Takes another configuration, its pool in ascending order of address. What is known of the real servers
    /// and checks that stay is kept, and unknown servers are assumed up where they are needed.
    pub(crate) fn reload(&mut self, now: Instant, config: config::VirtualServer, events: &mut Vec<Event>) {
        let served = self.serves(self.sum());
        let origin: Vec<_> =
            config.checks.iter().map(|new| self.checks.iter().position(|old| old.key == new.key)).collect();
        let old_slow_start = std::mem::replace(&mut self.slow_start, config.slow_start);
        self.band = Band { quorum: config.quorum, hysteresis: config.hysteresis };
        self.overload = match self.overload.take() {
            Some(mut overload) if config.overload != Mode::Off => {
                overload.reload(&config, self.addresses());
                Some(overload)
            }
            _ => (config.overload != Mode::Off).then(|| Overload::new(&config)),
        };
        self.sorry_server = config.sorry_server;
        self.checks = config.checks;

        let mut known: BTreeMap<_, _> =
            self.real_servers.drain(..).map(|server| (server.address, server)).collect();
        for config in &config.real_servers {
            let server = match known.remove(&config.address) {
                None => RealServer::new(now, config, &self.checks),
                Some(mut server) => {
                    if server.reload(now, config, &self.checks, &origin, old_slow_start) {
                        events.push(health_event(&self.name, &server));
                    }
                    server
                }
            };
            self.real_servers.push(server);
        }
        if self.needs_the_unknown(served) {
            for server in self.real_servers.iter_mut().filter(|server| server.unknown_share() > 0) {
                server.assume_up();
                events.push(health_event(&self.name, server));
            }
        }
        self.follow(now, events);
        self.judge(now, events);
    }

    pub(crate) fn observe(
        &mut self,
        now: Instant,
        real_server: usize,
        check: usize,
        seen: &Observation,
        events: &mut Vec<Event>,
    ) {
        let overload = self.overload.as_mut().map(|it| (it.mode, it.observe(now, real_server, seen)));
        let reading = match overload {
            Some((Mode::Protect, reading)) => reading,
            _ => Reading::Plain,
        };
        let server = &mut self.real_servers[real_server];
        let before = server.target();
        let changed = server.observe(now, &self.checks, check, seen, reading);
        let advised = server.target() != before;
        let mut stands = Vec::new();
        let followed = self.follow_one(now, real_server, &mut stands);
        let server = &self.real_servers[real_server];
        if changed {
            events.push(health_event(&self.name, server));
        }
        // That it is kept has been said with its health.
        if !changed || server.stand != Stand::Kept {
            events.append(&mut stands);
        }
        if advised {
            events.push(Event::Weight {
                virtual_server: self.name.clone(),
                real_server: server.address,
                check: self.checks[check].key.clone(),
                before,
                weight: server.target(),
            });
        }
        if followed || changed || advised {
            self.judge(now, events);
        }
    }

    /// Takes in what the dataplane has counted.
    pub(crate) fn sample(&mut self, now: Instant, traffic: &Traffic, events: &mut Vec<Event>) {
        let place = |address| position(&self.real_servers, address);
        if let Some(overload) = &mut self.overload {
            overload.sample(now, traffic, place);
            self.follow(now, events);
            self.judge(now, events);
        }
    }

    /// What was learned about the pool.
    pub(crate) fn learned(&self) -> impl Iterator<Item = LearnedServer> {
        self.overload.iter().flat_map(|it| it.learned(&self.name, self.addresses()))
    }

    /// Takes over what was learned about a real server before.
    pub(crate) fn recall(&mut self, learned: &LearnedServer) {
        let place = self.position(learned.real_server);
        if let Some((overload, index)) = self.overload.as_mut().zip(place) {
            overload.recall(index, learned);
        }
    }

    fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.real_servers.iter().map(|it| it.address)
    }

    /// No sample has come for long, if that is so.
    pub(crate) fn go_blind(&mut self, now: Instant, events: &mut Vec<Event>) {
        if let Some(overload) = &mut self.overload {
            overload.go_blind(now);
            self.follow(now, events);
            self.judge(now, events);
        }
    }

    /// When that will be.
    pub(crate) fn blind_at(&self) -> Option<Instant> {
        self.overload.as_ref()?.deadline()
    }

    /// Does what the overload protection has decided about the pool.
    fn follow(&mut self, now: Instant, events: &mut Vec<Event>) {
        for index in 0..self.real_servers.len() {
            let _judged_by_the_caller = self.follow_one(now, index, events);
        }
    }

    /// True when that changes whether it is in service.
    fn follow_one(&mut self, now: Instant, real_server: usize, events: &mut Vec<Event>) -> bool {
        let Some(overload) = &mut self.overload else { return false };
        let server = &mut self.real_servers[real_server];
        overload.judge(now, real_server, server.health.is_up());
        if overload.mode != Mode::Protect {
            return false;
        }
        server.cap = overload.cap(real_server);
        let before = std::mem::replace(&mut server.stand, overload.stand(real_server));
        if before == Stand::Kept && server.health.is_up() {
            server.skip_ramp();
        }
        let what = match (before, server.stand) {
            (before, stand) if before == stand => return false,
            (_, Stand::Kept) => "stays in service: it serves clients, whatever its check says",
            (_, Stand::Held) => "waits: it has fallen too often in the last minutes",
            (Stand::Kept, Stand::AsChecked) if !server.health.is_up() => {
                "goes out of service as its check says"
            }
            (Stand::Held, Stand::AsChecked) if server.health.is_up() => "is in service again",
            _ => return true,
        };
        let (virtual_server, real_server) = (self.name.clone(), server.address);
        events.push(Event::Overload { virtual_server, real_server, what });
        true
    }

    pub(crate) fn obey(
        &mut self,
        now: Instant,
        real_server: usize,
        command: &Command,
        events: &mut Vec<Event>,
    ) {
        let server = &mut self.real_servers[real_server];
        events.push(Event::Operator {
            virtual_server: self.name.clone(),
            real_server: server.address,
            what: server.obey(command),
        });
        self.judge(now, events);
    }

    pub(crate) fn position(&self, real_server: SocketAddr) -> Option<usize> {
        position(&self.real_servers, real_server)
    }

    pub(crate) fn desired(&self, now: Instant) -> Desired {
        let pool = (0..self.real_servers.len()).map(|index| self.destination(index, now));
        Desired { destinations: pool.chain(self.stand_in()).collect() }
    }

    /// The sorry server's place in it while traffic goes there.
    pub(crate) fn stand_in(&self) -> Option<Destination> {
        self.serving_sorry_server().map(|address| Destination {
            address,
            weight: 1,
            cap: None,
            alive: true,
            decided: !self.undecided,
            role: Role::SorryServer,
        })
    }

    /// What the dataplane should hold for one member of the pool. While the sorry server serves, the pool is
    /// alive as it is and gets no new connections.
    pub(crate) fn destination(&self, real_server: usize, now: Instant) -> Destination {
        let mut destination = self.real_servers[real_server].destination(now, self.slow_start);
        if self.serving_sorry_server().is_some() && destination.weight > 0 {
            destination.weight = 0;
            destination.decided = !self.undecided;
        }
        destination
    }

    /// The sorry server while traffic goes there. A lost quorum without one leaves the pool as it is.
    pub(crate) fn serving_sorry_server(&self) -> Option<SocketAddr> {
        self.sorry_server.filter(|_| !self.held)
    }

    /// W: the weights of healthy servers that are not drained.
    pub(crate) fn sum(&self) -> u64 {
        self.real_servers.iter().map(|server| u64::from(server.quorum_share())).sum()
    }

    /// What the unknown servers would add to W.
    fn unknown(&self) -> u64 {
        self.real_servers.iter().map(|server| u64::from(server.unknown_share())).sum()
    }

    /// Whether a reload, not judged yet, would take the quorum from the pool, or all traffic if it `served`
    /// before, merely because servers have not been checked yet.
    fn needs_the_unknown(&self, served: bool) -> bool {
        let sum = self.sum();
        let possible = sum + self.unknown();
        let holds = |sum| self.band.holds(self.held, sum);
        self.held && !holds(sum) && holds(possible) || served && !self.serves(sum) && self.serves(possible)
    }

    /// Whether the pool would get traffic at `sum`: without a sorry server even when the quorum is lost.
    fn serves(&self, sum: u64) -> bool {
        sum > 0 && (self.sorry_server.is_none() || self.band.holds(self.held, sum))
    }

    /// Brings the quorum in line with the pool.
    fn judge(&mut self, now: Instant, events: &mut Vec<Event>) {
        let sum = self.sum();
        let held = self.band.holds(self.held, sum);
        self.undecided = !held && self.band.holds(false, sum + self.unknown());
        if held == self.held {
            return;
        }
        self.held = held;
        self.since = now;
        events.push(Event::Quorum {
            virtual_server: self.name.clone(),
            held,
            sum,
            quorum: self.band.quorum,
            hysteresis: self.band.hysteresis,
            sorry_server: self.sorry_server,
        });
    }
}

/// Where a real server is in a pool.
fn position(pool: &[RealServer], address: SocketAddr) -> Option<usize> {
    pool.binary_search_by_key(&address, |it| it.address).ok()
}

fn health_event(virtual_server: &Arc<str>, server: &RealServer) -> Event {
    Event::Health {
        virtual_server: virtual_server.clone(),
        real_server: server.address,
        healthy: server.health.is_up(),
        kept: server.stand == Stand::Kept,
        check: server.reason.check.clone().unwrap_or_else(|| Arc::from("")),
        reason: server.reason.words.to_string(),
    }
}
