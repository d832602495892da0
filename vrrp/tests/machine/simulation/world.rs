//! Directors, the network between them and a virtual clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tidegate_vrrp::config::{Config, Peers, Router};
use tidegate_vrrp::packet::{Advert, encode};
use tidegate_vrrp::{Action, Input, Machine, Received, Tracked};

use super::director::Director;
use super::site::{FAULT, INTERFACES, NUMBER, Site, WEIGHT};
use crate::support::{epoch, multicast, words};

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) site: Site,
    pub(super) random: Rng,
    pub(super) directors: Vec<Director>,
    pub(super) network: Network,
    /// How many changes of state there were.
    pub(super) changes: usize,
    events: BinaryHeap<Reverse<(Instant, u64, usize, Event)>>,
    sequence: u64,
    start: Instant,
    trace: bool,
}

pub(super) struct Network {
    /// From whom to whom nothing gets through on which interface.
    pub(super) cut: BTreeSet<(Arc<str>, usize, usize)>,
    /// Of packets, in percent.
    pub(super) loss: u8,
    pub(super) duplication: u8,
    /// At most so many packets in a row are lost between two for a virtual router.
    pub(super) worst_loss: u8,
    lost_in_a_row: BTreeMap<(Arc<str>, usize, usize), u8>,
    pub(super) delay: RangeInclusive<Duration>,
    /// How late a director looks at its clock.
    pub(super) lateness: Duration,
}

/// More events than any run has in which directors do not set each other off.
const STORM: u64 = 100_000;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Packet {
    interface: Arc<str>,
    source: IpAddr,
    destination: IpAddr,
    message: Rc<[u8]>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Deliver(Packet),
    Tick,
    Wake,
    /// The first on something tracked.
    Verdict(&'static str),
}

impl World {
    pub(super) fn new(site: Site, random: Rng, trace: bool) -> Self {
        let now = epoch();
        let network = Network {
            cut: BTreeSet::new(),
            loss: 0,
            duplication: 0,
            worst_loss: u8::MAX,
            lost_in_a_row: BTreeMap::new(),
            delay: Duration::ZERO..=Duration::ZERO,
            lateness: Duration::ZERO,
        };
        let directors = (0..site.directors).map(|_| Director::off(now)).collect();
        let (events, changes) = (BinaryHeap::new(), 0);
        Self { now, site, random, directors, network, changes, events, sequence: 0, start: now, trace }
    }

    /// Lets time pass, and looks after each thing that happens.
    pub(super) fn run(&mut self, time: Duration, mut look: impl FnMut(&Self)) {
        let end = self.now + time;
        while let Some(Reverse((at, ..))) = self.events.peek()
            && *at <= end
            && let Some(Reverse((at, _, to, event))) = self.events.pop()
        {
            self.now = at;
            assert!(self.sequence < STORM, "a storm of packets");
            match event {
                Event::Deliver(packet) if self.directors[to].asleep => self.directors[to].inbox.push(packet),
                Event::Deliver(packet) => self.receive(to, &packet),
                Event::Tick => self.tick(to, at),
                Event::Wake => self.wake(to),
                Event::Verdict(_) if self.directors[to].asleep => {
                    self.push(at + self.site.interval, to, event);
                }
                Event::Verdict(FAULT) => self.track(to, FAULT, Tracked::Up),
                Event::Verdict(WEIGHT) => {
                    let state = self.random.choice([Tracked::Up, Tracked::Down]).unwrap();
                    self.track(to, WEIGHT, state);
                }
                Event::Verdict(number) => self.track(to, number, Tracked::Number(0)),
            }
            look(self);
        }
        self.now = end;
    }

    /// Switches a director on: an empty machine is told its links, its configuration and, some time later, its tracks.
    pub(super) fn start(&mut self, to: usize) {
        self.say(to, "start");
        let routers = self.site.of_director(&mut self.random, to);
        self.directors[to] = Director::off(self.now);
        self.directors[to].on = true;
        INTERFACES.iter().for_each(|interface| self.link(to, interface, true));
        self.reload(to, routers);
        for key in [FAULT, WEIGHT, NUMBER] {
            let time = self.random_time(&(Duration::ZERO..=2 * self.site.interval));
            self.push(self.now + time, to, Event::Verdict(key));
        }
    }

    /// Switches a director off.
    pub(super) fn kill(&mut self, to: usize) {
        self.say(to, "off");
        self.directors[to] = Director::off(self.now);
    }

    /// Nothing happens on a director for a while, which it does not notice.
    pub(super) fn sleep(&mut self, to: usize, time: Duration) {
        self.say(to, &format!("asleep for {time:?}"));
        if !std::mem::replace(&mut self.directors[to].asleep, true) {
            self.push(self.now + time, to, Event::Wake);
        }
    }

    pub(super) fn reload(&mut self, to: usize, routers: Vec<Router>) {
        self.directors[to].routers.clone_from(&routers);
        self.call(to, |machine, now| {
            let routers = routers.into_iter().map(Arc::new).collect();
            machine.reload(now, Config { routers })
        });
    }

    pub(super) fn link(&mut self, to: usize, interface: &str, up: bool) {
        use tidegate_vrrp::config::Family::{Ipv4, Ipv6};
        self.say(to, &format!("{interface} up: {up}"));
        let sources = vec![self.site.address(to, Ipv4), self.site.address(to, Ipv6)];
        let interface: Arc<str> = interface.into();
        self.directors[to].links.insert(interface.clone(), up);
        self.call(to, |machine, now| machine.handle(now, Input::Link { interface, up, sources }));
    }

    pub(super) fn track(&mut self, to: usize, key: &str, state: Tracked) {
        self.say(to, &format!("{key} {state:?}"));
        if key == FAULT {
            self.directors[to].is_faulty = state != Tracked::Up;
        }
        self.call(to, |machine, now| machine.handle(now, Input::Track { key: key.into(), state }));
    }

    pub(super) fn stop(&mut self, to: usize) {
        self.say(to, "stop");
        self.directors[to].stopping = true;
        self.call(to, |machine, now| machine.handle(now, Input::Stop));
    }

    /// Whether the order was accepted.
    pub(super) fn fail_over(&mut self, to: usize, name: &str) -> bool {
        self.say(to, &format!("failover {name}"));
        let mut accepted = false;
        self.call(to, |machine, now| match machine.failover(now, name) {
            Ok(actions) => {
                accepted = true;
                actions
            }
            Err(_) => Vec::new(),
        });
        accepted
    }

    fn receive(&mut self, to: usize, packet: &Packet) {
        let Packet { interface, source, destination, message } = packet;
        if self.directors[to].links.get(interface) != Some(&true) {
            return;
        }
        let (source, destination) = (*source, *destination);
        let received = Received { interface, source, destination, ttl: 255, message };
        self.call(to, |machine, now| machine.handle(now, Input::Received(received)));
    }

    fn tick(&mut self, to: usize, at: Instant) {
        let director = &mut self.directors[to];
        if director.scheduled == Some(at) && !director.asleep {
            director.scheduled = None;
            self.call(to, |machine, now| machine.handle(now, Input::Tick { heard: now }));
            let deadline = self.directors[to].machine.deadline();
            assert!(deadline.is_none_or(|deadline| deadline > self.now), "director {to} would spin");
        }
    }

    pub(super) fn wake(&mut self, to: usize) {
        self.say(to, "awake");
        let director = &mut self.directors[to];
        if std::mem::take(&mut director.asleep) {
            let inbox = std::mem::take(&mut director.inbox);
            inbox.iter().for_each(|packet| self.receive(to, packet));
            self.call(to, |machine, now| machine.handle(now, Input::Tick { heard: now }));
        }
    }

    /// A call of a director's machine, and what follows from it. A director that is off or asleep is not called.
    fn call(&mut self, to: usize, call: impl FnOnce(&mut Machine, Instant) -> Vec<Action>) {
        let director = &mut self.directors[to];
        if !director.on || director.asleep {
            return;
        }
        let actions = call(&mut director.machine, self.now);
        director.perform(self.now, &actions);
        let changes = actions.iter().filter(|action| matches!(action, Action::Changed(_))).count();
        if changes > 0 {
            director.check_status();
            self.changes += changes;
            self.say(to, &words(&actions).join(", "));
        }
        for action in &actions {
            if let Action::Advertise { router, advert } = action {
                self.send(to, router, advert);
            }
        }
        let deadline = self.directors[to].machine.deadline();
        if let Some(deadline) = deadline
            && self.directors[to]
                .scheduled
                .is_none_or(|scheduled| scheduled > deadline || scheduled < self.now)
        {
            let late = self.random_time(&(Duration::ZERO..=self.network.lateness));
            let at = deadline.max(self.now) + late;
            self.directors[to].scheduled = Some(at);
            self.push(at, to, Event::Tick);
        }
    }

    fn send(&mut self, from: usize, router: &Router, advert: &Advert) {
        let interface = &router.interface;
        let source = self.site.address(from, router.family);
        for to in (0..self.site.directors).filter(|&to| to != from) {
            let destination = match router.peers {
                Peers::Multicast => multicast(router.family),
                Peers::Unicast { .. } => self.site.address(to, router.family),
            };
            let blocked = self.network.cut.contains(&(interface.clone(), from, to));
            if blocked || self.network.loses(&mut self.random, (router.name.clone(), from, to)) {
                continue;
            }
            let mut message = Vec::new();
            encode(advert, router.checksum, source, destination, &mut message);
            let packet =
                Packet { interface: interface.clone(), source, destination, message: message.into() };
            for _ in 0..1 + u8::from(self.random.u8(..100) < self.network.duplication) {
                let at = self.now + self.random_time(&self.network.delay.clone());
                self.push(at, to, Event::Deliver(packet.clone()));
            }
        }
    }

    pub(super) fn random_time(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let nanos = range.start().as_nanos() as u64..=range.end().as_nanos() as u64;
        Duration::from_nanos(self.random.u64(nanos))
    }

    fn push(&mut self, at: Instant, to: usize, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, to, event)));
    }

    pub(super) fn say(&self, director: usize, what: &str) {
        if self.trace {
            println!("{:>12.6?} director {director}: {what}", self.now - self.start);
        }
    }
}

impl Network {
    fn loses(&mut self, random: &mut Rng, way: (Arc<str>, usize, usize)) -> bool {
        if self.loss == 0 {
            return false;
        }
        let lost = self.lost_in_a_row.entry(way).or_default();
        *lost = if random.u8(..100) < self.loss && *lost < self.worst_loss { *lost + 1 } else { 0 };
        *lost > 0
    }
}
