//! An engine with one pool, and a dataplane that counts what a test says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::tests::support::{address, check, epoch, only, probe, sorry, web};
use crate::*;

/// How long a check takes that does not wait.
pub(super) const QUICK: Duration = Duration::from_millis(5);
const SAMPLE: Duration = Duration::from_millis(500);

pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) now: Instant,
    pub(super) events: Vec<Event>,
    config: VirtualServer,
    loads: BTreeMap<u8, Load>,
    turned_away: u64,
}

impl Bench {
    /// A pool of so many servers of weight 10, all up.
    pub(super) fn new(servers: u8) -> Bench {
        let mut bench = Bench {
            engine: Engine::new(),
            now: epoch(),
            events: Vec::new(),
            config: web(&[], &[]),
            loads: BTreeMap::new(),
            turned_away: 0,
        };
        bench.resize(servers);
        bench
    }

    /// Another number of servers; new ones are up.
    pub(super) fn resize(&mut self, servers: u8) {
        let weights = vec![10; servers.into()];
        self.config = VirtualServer { overload: Mode::Protect, ..web(&[check("c")], &weights) };
        self.reload();
        for host in 1..=servers {
            let unknown = matches!(self.server(host).health, Health::Unknown { .. });
            if unknown {
                self.check(host, OutcomeKind::Passed);
            }
            let empty = Load {
                address: address(host),
                active: 0,
                begun: 0,
                failed: 0,
                established: Some(0),
                bytes_out: Some(0),
            };
            self.loads.entry(host).or_insert(empty);
        }
    }

    /// Another `max_connections` for all.
    pub(super) fn bound(&mut self, most: u32) {
        self.config.real_servers.iter_mut().for_each(|it| it.max_connections = most);
        self.reload();
    }

    fn reload(&mut self) {
        let effects = self.engine.reload(self.now, only(self.config.clone()));
        self.events.extend(effects.events);
    }

    pub(super) fn check(&mut self, host: u8, kind: OutcomeKind) {
        self.check_after(host, kind, QUICK);
    }

    pub(super) fn check_after(&mut self, host: u8, kind: OutcomeKind, latency: Duration) {
        let outcome = Outcome { kind, detail: "".into(), advice: None };
        self.handle(Input::Observation(Observation { probe: probe(host, 0), outcome, latency }));
    }

    /// So many connections come and so many end.
    pub(super) fn serve(&mut self, host: u8, come: u64, end: u64) {
        let load = self.loads.get_mut(&host).unwrap();
        load.begun += come;
        load.established = load.established.map(|it| it + come);
        load.active = (load.active + come).saturating_sub(end);
        load.bytes_out = load.bytes_out.map(|it| it + end);
    }

    /// Neither handshakes nor answers pass the dataplane, and a connection is active once its client has acknowledged.
    pub(super) fn blindfold(&mut self) {
        self.loads.values_mut().for_each(|it| (it.established, it.bytes_out) = (None, None));
    }

    /// It sends something to those it has.
    pub(super) fn answer(&mut self, host: u8) {
        let load = self.loads.get_mut(&host).unwrap();
        load.bytes_out = load.bytes_out.map(|it| it + 1);
    }

    /// No handshakes, but answers pass the dataplane.
    pub(super) fn datagrams(&mut self) {
        self.loads.values_mut().for_each(|it| it.established = None);
    }

    /// A sorry server is there.
    pub(super) fn apologise(&mut self) {
        self.config.sorry_server = Some(sorry());
        self.reload();
    }

    /// Each client has its own server.
    pub(super) fn bind_clients(&mut self) {
        self.config.any_server = false;
        self.reload();
    }

    /// So many SYNs are given to a server.
    pub(super) fn knock(&mut self, host: u8, connections: u64) {
        self.loads.get_mut(&host).unwrap().begun += connections;
    }

    /// So many connections are given to a server that does not answer.
    pub(super) fn give(&mut self, host: u8, connections: u64) {
        let load = self.loads.get_mut(&host).unwrap();
        load.begun += connections;
        load.active += connections;
    }

    pub(super) fn refuse(&mut self, host: u8, connections: u64) {
        let load = self.loads.get_mut(&host).unwrap();
        load.begun += connections;
        load.failed += connections;
    }

    pub(super) fn turn_away(&mut self, connections: u64) {
        self.turned_away += connections;
    }

    /// Half a second later.
    pub(super) fn sample(&mut self) {
        self.now += SAMPLE;
        let real_servers = self.loads.values().copied().collect();
        let traffic = Traffic { virtual_server: "web".into(), turned_away: self.turned_away, real_servers };
        self.handle(Input::Traffic(traffic));
    }

    /// For so many seconds these servers take so many connections each half second, and end as many half a second
    /// later; the others do nothing.
    pub(super) fn run(&mut self, seconds: u32, busy: &[(u8, u64)]) {
        for _ in 0..2 * seconds {
            for (host, connections) in busy {
                let active = self.load(*host).active;
                self.serve(*host, *connections, active);
            }
            self.sample();
        }
    }

    pub(super) fn later(&mut self, by: Duration) {
        self.now += by;
    }

    pub(super) fn tick(&mut self) {
        self.handle(Input::Tick);
    }

    pub(super) fn load(&self, host: u8) -> Load {
        self.loads[&host]
    }

    pub(super) fn cap(&self, host: u8) -> Option<u32> {
        let desired = self.engine.desired("web").unwrap();
        desired.destinations.iter().find(|it| it.address == address(host)).unwrap().cap
    }

    pub(super) fn weights(&self) -> Vec<u32> {
        self.engine.desired("web").unwrap().destinations.iter().map(|it| it.weight).collect()
    }

    /// The weights of the pool, without the sorry server.
    pub(super) fn pool(&self) -> Vec<u32> {
        let desired = self.engine.desired("web").unwrap();
        desired.destinations.iter().filter(|it| it.role == Role::RealServer).map(|it| it.weight).collect()
    }

    /// Servers without new connections.
    pub(super) fn out(&self) -> Vec<u8> {
        (1..).zip(self.weights()).filter(|(_, weight)| *weight == 0).map(|(host, _)| host).collect()
    }

    pub(super) fn server(&self, host: u8) -> RealServerStatus<'_> {
        self.engine.status().next().unwrap().real_servers().find(|it| it.address == address(host)).unwrap()
    }

    pub(super) fn pool_status(&self) -> OverloadStatus {
        self.engine.status().next().unwrap().overload.unwrap()
    }

    /// Whether an event says so.
    pub(super) fn told(&self, text: &str) -> bool {
        let says = |event: &Event| matches!(event, Event::Overload { what, .. } if what.contains(text));
        self.events.iter().any(says)
    }

    fn handle(&mut self, input: Input) {
        let effects = self.engine.handle(self.now, input);
        self.events.extend(effects.events);
    }
}
