use std::sync::Arc;

use super::director::{Director, Order, address, router};
use crate::config::{Config, Family, Peers, Router};
use crate::io::namespace::Host;
use crate::{Reason, State};

fn directors(first: Router, second: Router) -> [Director; 2] {
    let [one, two] = Host::pair();
    [Director::start(one, 1, vec![Arc::new(first)]), Director::start(two, 2, vec![Arc::new(second)])]
}

/// Election of the higher priority, an order to hand over, and the successor's resignation.
async fn elect_and_hand_over([mut high, mut low]: [Director; 2]) {
    high.becomes(State::Active).await;
    assert_eq!([high.order().await, high.order().await], [Order::Hold, Order::Announce]);
    low.becomes(State::Backup).await;

    high.vrrp.failover("front".into()).await.expect("it is Active");
    let gained = low.becomes(State::Active).await;
    assert_eq!(gained.reason, Reason::Silence);
    assert_eq!([low.order().await, low.order().await], [Order::Hold, Order::Announce]);
    high.becomes(State::Backup).await;
    assert_eq!(high.order().await, Order::Release);

    low.vrrp.stop().await;
    high.becomes(State::Active).await;
    assert_eq!(low.order().await, Order::Release);
    assert_eq!(high.order().await, Order::Hold);
    assert!(low.vrrp.status().await.is_none(), "the thread has ended");
}

#[tokio::test]
async fn multicast_ipv4() {
    elect_and_hand_over(directors(router(Family::Ipv4, 150), router(Family::Ipv4, 100))).await;
}

#[tokio::test]
async fn multicast_ipv6() {
    elect_and_hand_over(directors(router(Family::Ipv6, 150), router(Family::Ipv6, 100))).await;
}

#[tokio::test]
async fn unicast() {
    for family in [Family::Ipv4, Family::Ipv6] {
        let to = |number| Peers::Unicast { peers: [address(family, number)].into(), min_ttl: 255 };
        let first = Router { peers: to(2), ..router(family, 150) };
        let second = Router { peers: to(1), ..router(family, 100) };
        elect_and_hand_over(directors(first, second)).await;
    }
}

#[tokio::test]
async fn what_is_not_there_cannot_be_handed_over() {
    let [one, _two] = Host::pair();
    let director = Director::start(one, 1, vec![Arc::new(router(Family::Ipv4, 100))]);
    let refusal = director.vrrp.failover("back".into()).await.unwrap_err();
    assert!(refusal.contains("back"), "{refusal}");
}

#[tokio::test]
async fn a_router_that_is_configured_no_more_is_handed_over() {
    let [mut high, mut low] = directors(router(Family::Ipv4, 150), router(Family::Ipv4, 100));
    high.becomes(State::Active).await;
    low.becomes(State::Backup).await;
    high.vrrp.reload(Config::default());
    low.becomes(State::Active).await;
    assert_eq!(
        [high.order().await, high.order().await, high.order().await],
        [Order::Hold, Order::Announce, Order::Release]
    );
    assert!(high.vrrp.status().await.unwrap().routers.is_empty());
}
