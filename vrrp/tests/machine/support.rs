//! Routers to be configured, and a director around one machine.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_vrrp::config::{Announce, Checksum, Config, Family, Peers, Router, Version};
use tidegate_vrrp::packet::{Advert, encode};
use tidegate_vrrp::{Action, Input, Machine, Received, RouterStatus, State};

/// Any instant will do: all times in these tests are relative to it.
#[allow(clippy::disallowed_methods)]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// VRID 51 on eth0 at a second and priority 100.
pub(crate) fn router(name: &str, version: Version, family: Family) -> Router {
    Router {
        name: name.into(),
        interface: "eth0".into(),
        router_id: 51,
        version,
        family,
        priority: 100,
        interval: SECOND,
        preempt: true,
        preempt_delay: Duration::ZERO,
        peers: Peers::Multicast,
        source: None,
        authentication: None,
        checksum: Checksum::PseudoHeader,
        addresses: match family {
            Family::Ipv4 => [ip("192.0.2.10")].into(),
            Family::Ipv6 => [ip("fe80::10"), ip("2001:db8::10")].into(),
        },
        announce: Announce::default(),
        group: None,
        tracks: Vec::new(),
    }
}

/// Where a director's adverts come from: the host's number is the last one of the address.
pub(crate) fn advertised_by(family: Family, host: u8) -> IpAddr {
    match family {
        Family::Ipv4 => ip(&format!("192.0.2.{host}")),
        Family::Ipv6 => ip(&format!("fe80::{host:x}")),
    }
}

/// Where adverts go to.
pub(crate) fn multicast(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => ip("224.0.0.18"),
        Family::Ipv6 => ip("ff02::12"),
    }
}

/// A machine at a time of its own. It is host 5 on its links.
pub(crate) struct Director {
    pub(crate) machine: Machine,
    pub(crate) now: Instant,
}

impl Director {
    /// With eth0 and eth1 up.
    pub(crate) fn new(routers: impl IntoIterator<Item = Router>) -> (Self, Vec<Action>) {
        let now = epoch();
        let mut director = Self { machine: Machine::new(now), now };
        for interface in ["eth0", "eth1"] {
            assert_eq!(director.link(interface, true), []);
        }
        let actions = director.reload(routers);
        (director, actions)
    }

    pub(crate) fn reload(&mut self, routers: impl IntoIterator<Item = Router>) -> Vec<Action> {
        let routers = routers.into_iter().map(Arc::new).collect();
        self.machine.reload(self.now, Config { routers })
    }

    pub(crate) fn handle(&mut self, input: Input<'_>) -> Vec<Action> {
        self.machine.handle(self.now, input)
    }

    pub(crate) fn link(&mut self, interface: &str, up: bool) -> Vec<Action> {
        let sources = vec![advertised_by(Family::Ipv4, 5), advertised_by(Family::Ipv6, 5)];
        self.handle(Input::Link { interface: interface.into(), up, sources })
    }

    /// Another host's advert for a router of this name.
    pub(crate) fn hear(&mut self, name: &str, host: u8, priority: u8) -> Vec<Action> {
        let router = self.status(name).router.clone();
        let advert = Advert { priority, ..advert_of(&router) };
        self.receive(&router, host, &advert)
    }

    pub(crate) fn receive(&mut self, router: &Router, host: u8, advert: &Advert) -> Vec<Action> {
        let (source, destination) = (advertised_by(router.family, host), multicast(router.family));
        let mut message = Vec::new();
        encode(advert, router.checksum, source, destination, &mut message);
        let (interface, message) = (&*router.interface, &*message);
        self.handle(Input::Received(Received { interface, source, destination, ttl: 255, message }))
    }

    /// At the deadline, if there is one.
    pub(crate) fn tick(&mut self) -> Vec<Action> {
        self.now = self.machine.deadline().unwrap_or(self.now);
        self.handle(Input::Tick { heard: self.now })
    }

    pub(crate) fn status(&self, name: &str) -> RouterStatus {
        self.machine.status().find(|status| *status.router.name == *name).expect("a router of this name")
    }

    pub(crate) fn state(&self, name: &str) -> State {
        self.status(name).state
    }
}

/// What a router would say with its configured priority.
pub(crate) fn advert_of(router: &Router) -> Advert {
    Advert {
        version: router.version,
        router_id: router.router_id,
        priority: router.priority,
        interval: router.interval,
        addresses: router.addresses.clone(),
        authentication: router.authentication,
    }
}

/// Actions in few words, such as `advertise front 100`.
pub(crate) fn words(actions: &[Action]) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::Advertise { router, advert } => format!("advertise {} {}", router.name, advert.priority),
        Action::Hold { router } => format!("hold {}", router.name),
        Action::Announce { router } => format!("announce {}", router.name),
        Action::Release { router } => format!("release {}", router.name),
        Action::Changed(change) => {
            format!("{} {} to {}: {:?}", change.router, change.from, change.to, change.reason)
        }
    };
    actions.iter().map(word).collect()
}
