//! Packets that are not for a router, or not as they should be: counted by reason, and nothing else happens.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tidegate_vrrp::config::{Family, Peers, Router, Version};
use tidegate_vrrp::packet::{Advert, encode};
use tidegate_vrrp::{Input, Received, Refusal};

use crate::support::{Director, SECOND, advert_of, advertised_by, ip, multicast, router};

/// A director that is Active, so that every advert would have an effect.
fn active(router: Router) -> Director {
    let (mut director, _) = Director::new([router]);
    director.tick();
    director.now += SECOND / 2;
    director
}

fn packet(router: &Router, change: impl FnOnce(&mut Advert)) -> Vec<u8> {
    let mut advert = Advert { priority: 200, ..advert_of(router) };
    change(&mut advert);
    let (source, destination) = (advertised_by(router.family, 9), multicast(router.family));
    let mut message = Vec::new();
    encode(&advert, router.checksum, source, destination, &mut message);
    message
}

fn received<'a>(router: &Router, message: &'a [u8]) -> Received<'a> {
    let (source, destination) = (advertised_by(router.family, 9), multicast(router.family));
    Received { interface: "eth0", source, destination, ttl: 255, message }
}

/// Nothing happens, and this reason is counted.
fn check(router: &Router, received: Received<'_>, refusal: Refusal) {
    let mut director = active(router.clone());
    let before = (director.state("front"), director.machine.deadline());
    assert_eq!(director.handle(Input::Received(received)), []);
    assert_eq!((director.state("front"), director.machine.deadline()), before);
    let counters = director.status("front").counters;
    for (other, count) in counters.refused.iter() {
        assert_eq!(count, u64::from(other == refusal), "{other}");
    }
    assert_eq!(counters.last_refused, Some((director.now, received.source, refusal)));
    assert_eq!(counters.received, 0);
    assert_eq!(director.machine.unknown_router_ids(), 0);
}

fn old() -> Router {
    router("front", Version::V2, Family::Ipv4)
}

fn new() -> Router {
    router("front", Version::V3, Family::Ipv4)
}

#[test]
fn from_too_far_away() {
    for family in [Family::Ipv4, Family::Ipv6] {
        let router = router("front", Version::V3, family);
        check(&router, Received { ttl: 254, ..received(&router, &packet(&router, |_| ())) }, Refusal::Ttl);
    }
    let peers = Peers::Unicast { peers: [advertised_by(Family::Ipv4, 9)].into(), min_ttl: 64 };
    let router = Router { peers, ..new() };
    let message = packet(&router, |_| ());
    check(&router, Received { ttl: 63, ..received(&router, &message) }, Refusal::Ttl);
    let near = Received { ttl: 64, ..received(&router, &message) };
    assert_ne!(active(router).handle(Input::Received(near)), []);
}

#[test]
fn from_somebody_who_is_no_peer() {
    let peers = Peers::Unicast { peers: [advertised_by(Family::Ipv4, 8)].into(), min_ttl: 0 };
    let router = Router { peers, ..new() };
    check(&router, received(&router, &packet(&router, |_| ())), Refusal::Source);
}

#[test]
fn of_another_version_or_type() {
    let message = packet(&old(), |_| ());
    check(&new(), received(&new(), &message), Refusal::Version);
    let message = packet(&new(), |_| ());
    check(&old(), received(&old(), &message), Refusal::Version);
    let message = [&[0x32], &message[1..]].concat();
    check(&new(), received(&new(), &message), Refusal::Type);
}

#[test]
fn too_short_or_damaged() {
    for router in [old(), new(), router("front", Version::V3, Family::Ipv6)] {
        let mut message = packet(&router, |_| ());
        for length in 2..message.len() {
            check(&router, received(&router, &message[..length]), Refusal::Length);
        }
        message[2] ^= 1;
        check(&router, received(&router, &message), Refusal::Checksum);
    }
    let empty = packet(&new(), |advert| advert.addresses = [].into());
    check(&new(), received(&new(), &empty), Refusal::Length);
}

#[test]
fn without_the_password() {
    let password = Router { authentication: Some(*b"password"), ..old() };
    let others = packet(&old(), |advert| advert.authentication = Some(*b"passwort"));
    check(&password, received(&password, &others), Refusal::Authentication);
    check(&password, received(&password, &packet(&old(), |_| ())), Refusal::Authentication);
    check(&old(), received(&old(), &others), Refusal::Authentication);
}

#[test]
fn at_another_interval() {
    let slower = packet(&old(), |advert| advert.interval = 2 * SECOND);
    check(&old(), received(&old(), &slower), Refusal::Interval);
    let slower = packet(&new(), |advert| advert.interval = 2 * SECOND);
    assert_ne!(active(new()).handle(Input::Received(received(&new(), &slower))), []);
}

#[test]
fn from_a_second_owner() {
    let owner = Router { priority: 255, ..new() };
    let (mut director, _) = Director::new([owner.clone()]);
    assert_eq!(director.hear("front", 9, 255), []);
    assert_eq!(director.status("front").counters.refused.count(Refusal::Owner), 1);
}

#[test]
fn for_nobody_here() {
    let mut director = active(new());
    let another_id = packet(&new(), |advert| advert.router_id = 52);
    let message = packet(&new(), |_| ());
    let good = received(&new(), &message);
    let cases = [
        Received { message: &another_id, ..good },
        Received { interface: "eth1", ..good },
        Received { source: ip("fe80::9"), ..good },
        Received { message: &[], ..good },
        Received { message: &[0x31], ..good },
    ];
    for (count, received) in (1..).zip(cases) {
        assert_eq!(director.handle(Input::Received(received)), []);
        assert_eq!(director.machine.unknown_router_ids(), count);
    }
}

#[test]
fn an_own_packet_is_not_even_counted() {
    let mut director = active(new());
    assert_eq!(director.hear("front", 5, 200), []);
    let counters = director.status("front").counters;
    assert_eq!((counters.received, counters.last_refused), (0, None));
}

#[test]
fn other_addresses_are_counted_but_not_refused() {
    let (mut director, _) = Director::new([new()]);
    let addresses = [ip("192.0.2.77")].into();
    director.receive(&new(), 9, &Advert { addresses, ..advert_of(&new()) });
    director.hear("front", 9, 100);
    let counters = director.status("front").counters;
    assert_eq!((counters.received, counters.other_addresses), (2, 1));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        packets in vec((vec(any::<u8>(), 0..40), any::<bool>(), 0..SECOND.as_nanos() as u64), 1..20),
    ) {
        let mut director = active(new());
        for (mut message, aimed, pause) in packets {
            if aimed && message.len() >= 4 {
                (message[0], message[1], message[3]) = (0x31, 51, 1);
            }
            director.now += Duration::from_nanos(pause);
            let _actions = director.handle(Input::Received(received(&new(), &message)));
            let _actions = director.handle(Input::Tick { heard: director.now });
        }
    }
}
