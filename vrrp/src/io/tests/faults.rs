use std::sync::Arc;
use std::time::Duration;

use super::director::{Director, Order, address, router};
use crate::config::{Config, Family, Router};
use crate::io::namespace::Host;
use crate::io::{Event, Link};
use crate::{Reason, RouterStatus, State};

#[tokio::test]
async fn an_interface_that_comes_back_is_used_again() {
    let [one, two] = Host::pair();
    let mut high = Director::start(one, 1, vec![Arc::new(router(Family::Ipv4, 150))]);
    let mut low = Director::start(two, 2, vec![Arc::new(router(Family::Ipv4, 100))]);
    high.becomes(State::Active).await;
    low.becomes(State::Backup).await;

    // Deletes both ends of the wire.
    high.host.ip("link delete eth0");
    for director in [&mut high, &mut low] {
        director.inbox.link(Link { interface: "eth0".into(), index: 0, up: false, sources: Vec::new() });
        director.becomes(State::Initialize).await;
    }
    Host::connect([&high.host, &low.host]);
    for (number, director) in [(1, &mut high), (2, &mut low)] {
        director.inbox.link(director.link(number));
    }
    high.becomes(State::Active).await;
    low.becomes(State::Backup).await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_once_and_then_counted() {
    let [one, _two] = Host::pair();
    let mut director = Director::start(one, 1, vec![Arc::new(router(Family::Ipv4, 100))]);
    director.becomes(State::Active).await;
    director.inbox.device("front".into(), u32::from(u16::MAX));
    director.event(|event| matches!(event, Event::SendFailed { .. }).then_some(())).await;
    while director.status().await.counters.sent < 10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    director.inbox.device("front".into(), 0);
    let failed = director
        .event(|event| match event {
            Event::SendFailed { .. } => panic!("it has been told"),
            Event::SendRecovered { failed, .. } => Some(failed),
            _ => None,
        })
        .await;
    assert!(failed > 1, "{failed}");
}

#[tokio::test]
async fn a_link_that_takes_nothing_keeps_no_advert_back_on_another() {
    let [one, two] = Host::pair();
    one.add_slow_link();
    let slow = Router {
        name: "slow".into(),
        interface: "slow0".into(),
        interval: Duration::from_millis(10),
        ..router(Family::Ipv6, 100)
    };
    let mut high = Director::start(one, 1, vec![Arc::new(router(Family::Ipv6, 150)), Arc::new(slow)]);
    let index = high.host.index("slow0").get();
    high.inbox.link(Link { interface: "slow0".into(), index, ..high.link(1) });
    let mut low = Director::start(two, 2, vec![Arc::new(router(Family::Ipv6, 100))]);
    low.becomes(State::Backup).await;
    let failed = |event| match event {
        Event::SendFailed { router, .. } => Some(router),
        _ => None,
    };
    assert_eq!(&*high.event(failed).await, "slow");
    let before = low.status().await.counters;
    let mut now = before.clone();
    while now.received < before.received + 10 {
        assert_eq!(now.transitions, before.transitions);
        tokio::time::sleep(Duration::from_millis(50)).await;
        now = low.status().await.counters;
    }
}

#[tokio::test]
async fn nobody_becomes_active_who_cannot_hear() {
    let [one, _two] = Host::pair();
    let mut director = Director::start(one, 1, vec![Arc::new(router(Family::Ipv4, 100))]);
    director.becomes(State::Active).await;
    // An index that nothing has: the listener for it cannot be opened.
    let there = director.link(1);
    director.inbox.link(Link { index: u32::from(u16::MAX), ..there.clone() });
    director.becomes(State::Initialize).await;
    director.event(|event| matches!(event, Event::ListenFailed { .. }).then_some(())).await;
    // It is tried again meanwhile.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    director.inbox.link(there);
    let transition = director
        .event(|event| match event {
            Event::ListenFailed { .. } => panic!("it has been told"),
            Event::Changed(transition) => Some(transition),
            _ => None,
        })
        .await;
    assert_eq!(transition.to, State::Backup);
    director.becomes(State::Active).await;
    assert_eq!(director.order().await, Order::Hold);
}

#[tokio::test]
async fn a_thread_that_stood_still_lets_go_first() {
    let [one, two] = Host::pair();
    let mut high = Director::start(one, 1, vec![Arc::new(router(Family::Ipv4, 150))]);
    high.becomes(State::Active).await;
    let mut low = Director::start(two, 2, vec![Arc::new(router(Family::Ipv4, 100))]);
    low.becomes(State::Backup).await;
    assert_eq!([high.order().await, high.order().await], [Order::Hold, Order::Announce]);

    // What is to be held changes, so that the keeper is called, and the active down interval is 361 ms.
    let pause = Duration::from_secs(1);
    *high.pause.lock().unwrap() = pause;
    let addresses = [address(Family::Ipv4, 100), address(Family::Ipv4, 101)].into();
    let other = Router { addresses, ..router(Family::Ipv4, 150) };
    high.vrrp.reload(Config { routers: vec![Arc::new(other)] });
    low.becomes(State::Active).await;

    let stalled = high.becomes(State::Backup).await;
    let gap = match stalled.reason {
        Reason::Stalled { gap } => gap,
        other => panic!("{other:?}"),
    };
    assert!(gap >= pause, "{gap:?}");
    assert_eq!(
        [high.order().await, high.order().await, high.order().await],
        [Order::Hold, Order::Announce, Order::Release]
    );
    // It still has the higher priority.
    high.becomes(State::Active).await;
    low.becomes(State::Backup).await;
}

/// The adverts of as many routers as this are more than what is read at a time.
#[tokio::test]
async fn a_thread_that_stood_still_hears_everybody_before_it_judges_their_silence() {
    let [one, two] = Host::pair();
    let router = |router_id: u8, priority| Router {
        name: format!("front{router_id:03}").into(),
        router_id,
        interval: Duration::from_millis(500),
        ..router(Family::Ipv4, priority)
    };
    let all = |priority| (1..=200).map(move |router_id| Arc::new(router(router_id, priority)));
    let _high = Director::start(one, 1, all(150).collect());
    // One that only this director has, to have the keeper called.
    let own = router(250, 100);
    let with = |own: Router| all(100).chain([Arc::new(own)]).collect();
    let low = Director::start(two, 2, with(own.clone()));
    let settled = async |count: u64| loop {
        let snapshot = low.vrrp.status().await.unwrap();
        let (own, others) = snapshot.routers.split_last().unwrap();
        let follows = |status: &RouterStatus| status.state == State::Backup && status.heard.is_some();
        if own.state == State::Active && own.counters.transitions >= count && others.iter().all(follows) {
            return others.iter().map(|status| status.counters.transitions).collect::<Vec<_>>();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let before = settled(2).await;
    // The active down interval is 1,805 ms.
    *low.pause.lock().unwrap() = Duration::from_millis(2500);
    let addresses = [address(Family::Ipv4, 100), address(Family::Ipv4, 101)].into();
    low.vrrp.reload(Config { routers: with(Router { addresses, ..own }) });
    assert_eq!(settled(4).await, before);
}
