//! Which real server gets the connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use support::*;
use tidegate_proxy::*;

/// One request after another, each over before the next, so that what is still open decides nothing.
fn answers(proxy: &Proxy, address: SocketAddr, requests: usize) -> BTreeMap<String, usize> {
    let mut answers = BTreeMap::new();
    for _ in 0..requests {
        *answers.entry(ask(address).unwrap()).or_default() += 1;
        eventually("closed", || proxy.active() == 0);
    }
    answers
}

fn shares(scheduler: Scheduler, requests: usize) -> [usize; 3] {
    let servers = [Server::named("a"), Server::named("b"), Server::named("c")];
    let key = tcp(v4(free_port()));
    let mut proxy = start(2);
    let destinations = [to(servers[0].address, 1), to(servers[1].address, 2), to(servers[2].address, 3)];
    let scheduler_flags = SchedulerFlags { port: true, fallback: false };
    publish(&mut proxy, [Service { scheduler, scheduler_flags, ..service(key, &destinations) }]);
    let answers = answers(&proxy, key.listen, requests);
    assert_eq!(counted(&proxy, key).accepted, requests as u64);
    ["a", "b", "c"].map(|name| answers.get(name).copied().unwrap_or(0))
}

#[test]
fn wrr_and_wlc_follow_the_weights() {
    within(60, || {
        for scheduler in [Scheduler::WeightedRoundRobin, Scheduler::WeightedLeastConnection] {
            let shares = shares(scheduler, 300);
            for (share, expected) in shares.iter().zip([50usize, 100, 150]) {
                assert!(share.abs_diff(expected) <= 3, "{scheduler:?} {shares:?}");
            }
        }
    });
}

#[test]
fn rr_and_lc_ignore_the_weights() {
    within(60, || {
        for scheduler in [Scheduler::RoundRobin, Scheduler::LeastConnection] {
            let shares = shares(scheduler, 150);
            assert!(shares.iter().all(|share| share.abs_diff(50) <= 3), "{scheduler:?} {shares:?}");
        }
    });
}

/// By the clients' ports, which are as good as random: within five standard deviations.
#[test]
fn sh_and_mh_follow_the_weights() {
    within(60, || {
        for scheduler in [Scheduler::SourceHash, Scheduler::Maglev] {
            let shares = shares(scheduler, 300);
            for (share, expected) in shares.iter().zip([50usize, 100, 150]) {
                assert!(share.abs_diff(expected) <= 45, "{scheduler:?} {shares:?}");
            }
        }
    });
}
