use std::sync::Arc;

use super::director::{Director, Order, router};
use crate::State;
use crate::config::Family;
use crate::io::namespace::Host;
use crate::io::{Event, Link};

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
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
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
async fn nobody_becomes_active_who_cannot_hear() {
    let [one, _two] = Host::pair();
    let mut director = Director::start(one, 1, vec![Arc::new(router(Family::Ipv4, 100))]);
    director.becomes(State::Active).await;
    // An index that nothing has: the listener for it cannot be opened.
    let there = director.link(1);
    director.inbox.link(Link { index: u32::from(u16::MAX), ..there.clone() });
    director.becomes(State::Initialize).await;
    director.event(|event| matches!(event, Event::ListenFailed { .. }).then_some(())).await;
    director.inbox.link(there);
    director.becomes(State::Active).await;
    assert_eq!(director.order().await, Order::Hold);
}
