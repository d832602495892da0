//! What a client sees. The bounds are wide, and yet below what the protocol alone would take: at 1 s and a successor of
//! priority 100 a skew of 609 ms, and an active down interval of 3,609 ms.

use std::time::Duration;

use tidegate_integration::clock::now;
use tidegate_integration::datagrams::{self, Client};
use tidegate_integration::failover::{Router, held};

use super::{BETTER, HOSTS, LESSER, PATIENCE, Pair, SHORT};

const SECOND: Duration = Duration::from_secs(1);
const HARDLY: Duration = Duration::from_millis(400);

fn client(pair: &Pair) -> Client {
    let service = (pair.router.address(), 7).into();
    for host in HOSTS {
        datagrams::answer(&pair.lan, host, service);
    }
    let client = Client::start(&pair.lan, 3, service);
    client.wait_for(1, PATIENCE);
    client
}

#[test]
fn an_order_and_a_stop_lose_nothing() {
    let mut pair = Pair::start(SECOND, "");
    let client = client(&pair);

    let start = now();
    let output = pair.director(1).command(&["failover", "r100"]);
    assert!(output.status.success(), "{output:?}");
    client.wait_for(2, PATIENCE);
    assert!(client.longest_gap(start).length < HARDLY, "an order: {:?}", client.longest_gap(start));
    pair.holds("the order", 2);
    pair.stays("the better one does not take back what it was ordered to give", 2);

    let start = now();
    pair.director(2).signal("TERM");
    client.wait_for(1, PATIENCE);
    assert!(client.longest_gap(start).length < HARDLY, "a stop: {:?}", client.longest_gap(start));
    assert!(pair.directors[1].wait(PATIENCE).success(), "{}", pair.director(2).log());
    pair.holds("the stop", 1);
}

#[test]
fn a_killed_daemon_lets_go_and_is_replaced_within_the_skew() {
    std::thread::scope(|scope| {
        for ipv6 in [false, true] {
            scope.spawn(move || {
                let pair = Pair::start_router(Router { ipv6, ..Router::new(100, SECOND) }, |_| String::new());
                let client = client(&pair);
                let start = now();
                pair.director(1).signal("KILL");
                client.wait_for(2, PATIENCE);
                let gap = client.longest_gap(start);
                assert!(gap.length < 2 * SECOND, "{gap:?}");
                pair.holds("the better one was killed", 2);
            });
        }
    });
}

/// A priority that has changed moves the address after an active down interval, in which the other one still serves.
#[test]
fn a_change_of_priorities_loses_nothing() {
    let pair = Pair::start(2 * SHORT, "");
    let client = client(&pair);
    let start = now();
    for (priority, holder) in [(LESSER - 50, 2), (BETTER, 1)] {
        pair.director(1).reload(&pair.configuration(1, priority, ""));
        client.wait_for(holder, PATIENCE);
        pair.holds("another priority", holder);
    }
    assert!(client.longest_gap(start).length < HARDLY, "{:?}", client.longest_gap(start));
}

#[test]
fn a_failover_without_anybody_to_take_over_is_taken_back() {
    let pair = Pair::start(SHORT, "");
    let client = client(&pair);
    pair.lan.set_link(2, false);
    let start = now();
    assert!(pair.director(1).command(&["failover", "r100"]).status.success());
    pair.wait_for_state(1, "active");
    assert_eq!(held(&pair.lan, 1, std::slice::from_ref(&pair.router)).len(), 1);
    assert!(client.longest_gap(start).length < HARDLY, "{:?}", client.longest_gap(start));

    let output = pair.director(1).command(&["failover", "other"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("other"), "{error}");
    pair.lan.set_link(2, true);
    pair.wait_for_state(2, "backup");
    let error = pair.director(2).command(&["failover", "r100"]);
    let error = String::from_utf8_lossy(&error.stderr).into_owned();
    assert!(error.contains("backup") || error.contains("Backup"), "{error}");
}
