use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::director::{Director, address, router};
use crate::config::{Family, Router};
use crate::io::namespace::Host;
use crate::io::socket::{Sender, group};
use crate::io::{Link, clock};
use crate::{Refusal, State};

/// How late adverts are while everybody is busy: printed, and only asserted to be far from what the others wait for.
#[tokio::test(flavor = "multi_thread")]
async fn adverts_are_sent_in_time_on_a_busy_host() {
    let [mut high, low] = pair();
    high.becomes(State::Active).await;
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..16 {
        let stop = stop.clone();
        thread::spawn(move || while !stop.load(Relaxed) {});
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.store(true, Relaxed);
    assert_in_time("16 busy threads", &high, &low).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adverts_are_sent_in_time_during_a_flood() {
    let [mut high, low] = pair();
    high.becomes(State::Active).await;
    let sender = low.host.run(Sender::open).unwrap();
    let index = low.host.index("eth0").get();
    // For the virtual router, and too short.
    let (mut sent, start) = (0_u64, clock::now());
    while clock::now() < start + Duration::from_secs(2) {
        let _full = sender.send(index, address(Family::Ipv4, 2), group(Family::Ipv4), &[0x31, 7, 255, 1]);
        sent += 1;
    }
    assert_in_time(&format!("a flood of {sent} packets"), &high, &low).await;
    assert!(high.status().await.counters.refused.count(Refusal::Length) > 0);
}

#[tokio::test]
async fn a_flood_from_afar_does_not_reach_the_thread() {
    let [mut high, low] = pair();
    high.becomes(State::Active).await;
    // Of protocol 112, with the TTL that everything has.
    let sender = low.host.run(|| Socket::new(Domain::IPV4, Type::RAW, Some(112.into()))).unwrap();
    let to = SocketAddr::new(address(Family::Ipv4, 1), 0).into();
    let mut refused = 0;
    for _ in 0..100 {
        (0..200).for_each(|_| drop(sender.send_to(&[0x31, 7, 255, 1], &to)));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let before =
            std::mem::replace(&mut refused, high.status().await.counters.refused.count(Refusal::Ttl));
        if refused > 0 && refused == before {
            return;
        }
    }
    panic!("they are refused one by one: {refused}");
}

fn pair() -> [Director; 2] {
    let [one, two] = Host::pair();
    let every_10_ms =
        |priority| Arc::new(Router { interval: Duration::from_millis(10), ..router(Family::Ipv4, priority) });
    [Director::start(one, 1, vec![every_10_ms(150)]), Director::start(two, 2, vec![every_10_ms(100)])]
}

async fn assert_in_time(what: &str, high: &Director, low: &Director) {
    let snapshot = high.vrrp.status().await.unwrap();
    let transitions = low.status().await.counters.transitions;
    eprintln!("{what}, {}: {:?}, {transitions} of the other one", snapshot.scheduling, snapshot.lateness);
    assert!(snapshot.lateness.adverts > 10);
    assert!(snapshot.lateness.max < Duration::from_secs(1));
    assert_eq!(snapshot.lost, 0);
}

/// A daemon that hangs takes no events, and all of 255 routers have something to say.
#[tokio::test]
async fn events_that_are_not_taken_hold_nothing_up() {
    let [one, _two] = Host::pair();
    let routers = (1..=255).map(|router_id| {
        let name = format!("front{router_id:03}").into();
        Arc::new(Router { name, router_id, ..router(Family::Ipv4, 100) })
    });
    let director = Director::start(one, 1, routers.collect());
    let up = director.link(1);
    for _ in 0..5 {
        for state in [State::Active, State::Initialize] {
            director.inbox.link(Link { up: state == State::Active, ..up.clone() });
            while director.vrrp.status().await.unwrap().routers.iter().any(|router| router.state != state) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    let snapshot = director.vrrp.status().await.unwrap();
    eprintln!("255 routers: {:?}, {} events lost", snapshot.lateness, snapshot.lost);
    assert!(snapshot.lost > 0);
}
