//! Half-open checks: the kernel answers, and nobody accepts.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use tidegate_checkers::{Outcome, Probe, Runner, Settings, Spec, Target, run};
use tokio::net::TcpListener;

use crate::network::{ip, is_child, nobody_around};
use crate::probe;
use crate::written::{outcome, outcome_within};

const HALF_OPEN: &str = "type = \"tcp-half-open\"";

#[tokio::test]
async fn open_and_refused() {
    if !is_child(&["unshare", "--map-root-user", "--net"], "half_open::open_and_refused") {
        return;
    }
    ip("link set lo up");
    for host in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::LOCALHOST, 0).into()] {
        let listener = TcpListener::bind(host).await.unwrap();
        let address = listener.local_addr().unwrap();
        let checks: Vec<_> = (0..200)
            .map(|_| tokio::spawn(async move { outcome("open", address, HALF_OPEN).await }))
            .collect();
        for check in checks {
            assert_eq!(check.await.unwrap(), "passed");
        }
        let accepted = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(accepted.is_err(), "no connection is ever made: {accepted:?}");

        let marked = probe(address, Spec::TcpHalfOpen, Duration::from_secs(5));
        let target = Target { fwmark: Some(7), bind: Some(host.ip()), ..marked.target };
        assert_eq!(run(Probe { target, ..marked }.into()).await.outcome, Outcome::Passed(String::new()));

        drop(listener);
        assert_eq!(outcome("refused", address, HALF_OPEN).await, "connection refused");
    }
}

/// Addresses that mean nothing without their link.
#[tokio::test]
async fn link_local() {
    if !is_child(&["unshare", "--map-root-user", "--net"], "half_open::link_local") {
        return;
    }
    ip("link set lo up");
    ip("link add v0 index 7 type veth peer name v1");
    ip("link set v0 up");
    ip("address add fe80::1/64 dev v0 nodad");
    let host = SocketAddrV6::new("fe80::1".parse().unwrap(), 0, 0, 7);
    let listener = TcpListener::bind(host).await.unwrap();
    let checked = probe(listener.local_addr().unwrap(), Spec::TcpHalfOpen, Duration::from_secs(5));
    assert_eq!(run(checked.into()).await.outcome, Outcome::Passed(String::new()));
}

#[tokio::test]
async fn not_our_source() {
    if !is_child(&["unshare", "--map-root-user", "--net"], "half_open::not_our_source") {
        return;
    }
    ip("link set lo up");
    let checked = probe(([127, 0, 0, 1], 80).into(), Spec::TcpHalfOpen, Duration::from_secs(5));
    let target = Target { bind: Some([192, 0, 2, 9].into()), ..checked.target };
    let outcome = run(Probe { target, ..checked }.into()).await.outcome;
    let expected = "cannot bind to 192.0.2.9: Cannot assign requested address (os error 99)".to_owned();
    assert_eq!(outcome, Outcome::NotRun(expected));
}

/// The address that was ours a moment ago is not any more.
#[tokio::test]
async fn another_source() {
    if !is_child(&["unshare", "--map-root-user", "--net"], "half_open::another_source") {
        return;
    }
    ip("link set lo up");
    for host in [1, 2, 3] {
        ip(&format!("address add 192.0.2.{host}/32 dev lo"));
    }
    let route =
        |source| ip(&format!("route replace local 192.0.2.3 dev lo table local src 192.0.2.{source}"));
    route(1);
    let listener = TcpListener::bind("192.0.2.3:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, mut observations) = tokio::sync::mpsc::channel(1);
    let runner = Runner::start(Settings { max_concurrent: 1, threads: 1, seed: 1 }, sender);
    let timing = Duration::from_millis(100);
    let checked = Probe { interval: timing, ..probe(address, Spec::TcpHalfOpen, timing) };
    runner.update(vec![checked.into()]);
    let mut outcomes = async |count| {
        let mut outcomes = Vec::new();
        while outcomes.len() < count {
            outcomes.push(observations.recv().await.unwrap().remove(0).outcome);
        }
        outcomes
    };
    assert_eq!(outcomes(3).await, [const { Outcome::Passed(String::new()) }; 3]);
    route(2);
    ip("address delete 192.0.2.1/32 dev lo");
    // The first of these may be older.
    assert_eq!(outcomes(5).await[2..], [const { Outcome::Passed(String::new()) }; 3]);
}

#[tokio::test]
async fn silent() {
    if !is_child(&["unshare", "--map-root-user", "--net"], "half_open::silent") {
        return;
    }
    nobody_around();
    let text =
        outcome_within(Duration::from_millis(300), "silent", "192.0.2.2:80".parse().unwrap(), HALF_OPEN)
            .await;
    assert_eq!(text, "timed out in connect");
    let text = outcome("no route", "198.51.100.1:80".parse().unwrap(), HALF_OPEN).await;
    assert!(text.starts_with("not run: no route of ours to 198.51.100.1:80"), "{text}");
}

/// SYNs to servers that nobody answers ARP for wait in the kernel, more of them than it has room for.
#[tokio::test]
async fn many_unreachable() {
    if !is_child(&["unshare", "--map-root-user", "--net"], "half_open::many_unreachable") {
        return;
    }
    nobody_around();
    let server = TcpListener::bind("192.0.2.1:0").await.unwrap();
    let (sender, mut observations) = tokio::sync::mpsc::channel(1);
    let runner = Runner::start(Settings { max_concurrent: 1, threads: 1, seed: 1 }, sender);
    let interval = Duration::from_millis(300);
    let probe = |id: u64, address, timeout| {
        Probe { id, interval, ..probe(address, Spec::TcpHalfOpen, timeout) }.into()
    };
    let dead = (1..=3000).map(|id| probe(id, ([192, 0, 2, 2 + (id % 250) as u8], 80).into(), interval));
    let live = probe(0, server.local_addr().unwrap(), Duration::from_secs(10));
    runner.update(dead.chain([live]).collect::<Vec<_>>());
    let mut outcomes = Vec::new();
    while outcomes.len() < 10 {
        let batch = observations.recv().await.unwrap();
        outcomes.extend(batch.into_iter().filter(|it| it.probe == 0).map(|it| it.outcome));
    }
    assert_eq!(outcomes, [const { Outcome::Passed(String::new()) }; 10]);
}

#[tokio::test]
async fn without_privilege() {
    if is_child(&["unshare", "--user", "--map-user=1"], "half_open::without_privilege") {
        let text = outcome("no privilege", "127.0.0.1:80".parse().unwrap(), HALF_OPEN).await;
        assert_eq!(
            text,
            "not run: cannot open a raw socket: Operation not permitted (os error 1); CAP_NET_RAW is needed"
        );
    }
}
