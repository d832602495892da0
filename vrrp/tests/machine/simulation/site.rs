//! What the directors are configured to be: the same virtual routers and groups on all, each with its own priorities.

use std::time::Duration;

use fastrand::Rng;
use tidegate_vrrp::config::{Checksum, Effect, Family, Peers, Router, Track, Version};

use crate::support::{advertised_by, router};

/// Virtual routers as director 0 has them; the others' are derived.
pub(super) struct Site {
    pub(super) directors: usize,
    pub(super) routers: Vec<Router>,
    /// The longest interval that there is.
    pub(super) interval: Duration,
    /// The shortest.
    pub(super) shortest: Duration,
    /// Whether the order of addresses differs between the families.
    pub(super) contradictory: bool,
}

pub(super) const FAULT: &str = "fault";
pub(super) const WEIGHT: &str = "weight";
pub(super) const NUMBER: &str = "number";
pub(super) const INTERFACES: [&str; 2] = ["eth0", "eth1"];

impl Site {
    pub(super) fn random(random: &mut Rng) -> Self {
        let old = random.u8(..4) == 0;
        let interval = if old { 1000 } else { random.choice([10, 100, 1000]).unwrap() };
        let interval = Duration::from_millis(interval);
        let mut routers: Vec<_> =
            (0..random.u8(1..=3)).map(|id| some_router(random, id, old, interval)).collect();
        regroup(random, &mut routers);
        let directors = random.usize(1..=5);
        let contradictory = random.bool();
        Self { directors, routers, interval: 2 * interval, shortest: interval, contradictory }
    }

    /// What a director is configured with when nothing is wrong: priorities by chance, the same within a group.
    pub(super) fn of_director(&self, random: &mut Rng, host: usize) -> Vec<Router> {
        let mut routers = self.routers.clone();
        let priorities = [1, 50, 100, 100, 150, 200, 254];
        let one = random.choice(priorities).unwrap();
        let (preempt, is_owner) = (random.u8(..4) > 0, host == 0 && random.u8(..8) == 0);
        for router in &mut routers {
            let own = random.choice(priorities).unwrap();
            router.priority = if router.group.is_some() { one } else { own };
            if is_owner {
                router.priority = 255;
            }
            router.preempt = preempt;
            router.preempt_delay = self.interval * random.u32(..4) * u32::from(random.bool());
            if router.version == Version::V3 {
                router.interval *= random.u32(1..=2);
                router.checksum = random.choice([Checksum::Message, Checksum::PseudoHeader]).unwrap();
            }
            if matches!(router.peers, Peers::Unicast { .. }) {
                let others = (0..self.directors).filter(|&other| other != host);
                let peers = others.map(|other| self.address(other, router.family)).collect();
                router.peers = Peers::Unicast { peers, min_ttl: 64 };
            }
        }
        routers
    }

    /// Where a director's adverts come from.
    pub(super) fn address(&self, host: usize, family: Family) -> std::net::IpAddr {
        let host = host as u8 + 1;
        let reverse = self.contradictory && family == Family::Ipv6;
        advertised_by(family, if reverse { 10 - host } else { host })
    }

    /// Names of routers that are Active together.
    pub(super) fn groups(&self) -> Vec<Vec<&Router>> {
        let (grouped, single): (Vec<_>, Vec<_>) =
            self.routers.iter().partition(|router| router.group.is_some());
        let single = single.into_iter().map(|router| vec![router]);
        single.chain([grouped]).filter(|group| !group.is_empty()).collect()
    }
}

/// Puts some of the routers into a group.
pub(super) fn regroup(random: &mut Rng, routers: &mut [Router]) {
    let among = random.bool();
    for router in routers {
        router.group = (among && random.u8(..4) > 0).then(|| "group".into());
    }
}

fn some_router(random: &mut Rng, id: u8, old: bool, interval: Duration) -> Router {
    let version = if old && random.bool() { Version::V2 } else { Version::V3 };
    let family = match version {
        Version::V3 if random.bool() => Family::Ipv6,
        _ => Family::Ipv4,
    };
    let track = |key: &str, effect| Track { key: key.into(), effect };
    let mut router = router(&format!("r{id}"), version, family);
    router.router_id = 51 + id;
    router.interface = random.choice(INTERFACES).unwrap().into();
    router.interval = interval;
    router.announce.refresh = interval * 7 * u32::from(random.bool());
    router.authentication = (version == Version::V2 && random.bool()).then_some(*b"password");
    router.tracks = vec![
        track(FAULT, Effect::Fault),
        track(WEIGHT, Effect::Weight(-60)),
        track(NUMBER, Effect::Weight(3)),
    ];
    if random.u8(..4) == 0 {
        router.peers = Peers::Unicast { peers: [].into(), min_ttl: 64 };
    }
    router
}
