//! What needs a network, a limit or a privilege of its own: these tests run themselves again in a child process that
//! has it. Neither needs root where the kernel lets users make namespaces.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use tidegate_checkers::{Outcome, Probe, Runner, Settings, Spec, Target, run};
use tokio::net::TcpListener;

use crate::written::begin_table;
use crate::{get, observe, passed, probe, server};

/// Is set for a child.
pub(crate) const CHILD: &str = "TIDEGATE_TEST_CHILD";

/// Whether this is the child. If not, runs the test of this name again as the last argument of `command`.
pub(crate) fn is_child(command: &[&str], test: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    begin_table();
    let output = Command::new(command[0])
        .args(&command[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {} ({error}): install util-linux", command[0]));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "in {command:?}: {text}");
    false
}

pub(crate) fn ip(arguments: &str) {
    let status =
        Command::new("ip").args(arguments.split_whitespace()).status().expect("ip runs (package iproute2)");
    assert!(status.success(), "ip {arguments}");
}

/// In a network namespace: 192.0.2.1/24 is ours, and nobody else there answers ARP.
pub(crate) fn nobody_around() {
    // The kernel sends itself its own ICMP errors over it.
    ip("link set lo up");
    ip("link add v0 type veth peer name v1");
    ip("address add 192.0.2.1/24 dev v0");
    ip("link set v0 up");
    ip("link set v1 up");
    std::fs::write("/proc/sys/net/ipv4/neigh/v0/retrans_time_ms", "100").unwrap();
}

#[tokio::test]
async fn our_routes_and_the_network() {
    if !is_child(&["unshare", "--map-root-user", "--net"], "network::our_routes_and_the_network") {
        return;
    }
    nobody_around();
    let tcp = |address: &'static str| observe(address.parse().unwrap(), Spec::Tcp, Duration::from_secs(10));

    match tcp("198.51.100.1:80").await.outcome {
        Outcome::NotRun(text) => {
            assert_eq!(text, "no route of ours to 198.51.100.1:80: Network is unreachable (os error 101)");
        }
        other => panic!("{other:?}"),
    }
    // Nobody answers ARP.
    assert_eq!(
        tcp("192.0.2.2:80").await.outcome,
        Outcome::Unreachable("No route to host (os error 113)".to_owned())
    );
    ip("route add prohibit 203.0.113.0/24");
    assert!(matches!(tcp("203.0.113.1:80").await.outcome, Outcome::NotRun(_)));
}

#[tokio::test]
async fn fwmark_needs_a_capability() {
    let probe = |address| {
        let probe = probe(address, Spec::Tcp, Duration::from_secs(5));
        let target = Target { fwmark: Some(7), ..probe.target };
        run(Probe { target, ..probe }.into())
    };
    // A user namespace of its own, but not the network's.
    if is_child(&["unshare", "--user"], "network::fwmark_needs_a_capability") {
        let outcome = probe(server::silent().await).await.outcome;
        let text = "cannot set fwmark 7: Operation not permitted (os error 1); CAP_NET_ADMIN is needed";
        assert_eq!(outcome, Outcome::NotRun(text.to_owned()));
    }
}

#[tokio::test]
async fn fwmark_is_set() {
    if is_child(&["unshare", "--map-root-user", "--net"], "network::fwmark_is_set") {
        ip("link set lo up");
        // Marked packets find no way, not even to the host's own addresses, which are rule 0's by default.
        ip("rule add pref 10 fwmark 7 prohibit");
        ip("rule add pref 20 lookup local");
        ip("rule delete pref 0");
        let unmarked = probe(server::silent().await, Spec::Tcp, Duration::from_secs(5));
        assert_eq!(run(unmarked.clone().into()).await.outcome, passed(""));
        let target = Target { fwmark: Some(7), ..unmarked.target };
        let outcome = run(Probe { target, ..unmarked }.into()).await.outcome;
        assert!(
            matches!(&outcome, Outcome::NotRun(text) if text.starts_with("no route of ours")),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn no_descriptor_left() {
    if !is_child(&["prlimit", "--nofile=64"], "network::no_descriptor_left") {
        return;
    }
    let address = server::silent().await;
    let (sender, mut observations) = tokio::sync::mpsc::channel(1);
    let runner = Runner::start(Settings { max_concurrent: 1, threads: 1, seed: 1 }, sender);
    let check = |id, address| vec![Probe { id, ..probe(address, Spec::Tcp, Duration::from_secs(5)) }.into()];
    // Which leaves no socket behind for the next.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    runner.update(check(1, nobody));
    assert_eq!(observations.recv().await.unwrap()[0].outcome, Outcome::Refused);
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    runner.update(check(2, address));
    match &observations.recv().await.unwrap()[0].outcome {
        Outcome::NotRun(text) => assert!(text.ends_with("; the limit of open files is reached"), "{text}"),
        other => panic!("{other:?}"),
    }
    files.clear();
    runner.update(check(3, address));
    assert_eq!(observations.recv().await.unwrap()[0].outcome, passed(""));
}

#[tokio::test]
async fn no_descriptor_for_a_thread() {
    if !is_child(&["prlimit", "--nofile=64"], "network::no_descriptor_for_a_thread") {
        return;
    }
    let address = server::silent().await;
    let (sender, mut observations) = tokio::sync::mpsc::channel(1);
    let runner = Runner::start(Settings { max_concurrent: 1, threads: 1, seed: 1 }, sender);
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    runner.update(vec![probe(address, Spec::Tcp, Duration::from_secs(5)).into()]);
    let text = "cannot start a thread for checks: Too many open files (os error 24)";
    assert_eq!(runner.start_missing().as_deref(), Some(text));
    assert_eq!(runner.fault(), None, "it is not lost for ever");
    files.clear();
    assert_eq!(runner.start_missing(), None);
    assert_eq!(observations.recv().await.unwrap()[0].outcome, passed(""));
}

#[tokio::test]
async fn bind() {
    for (listen, bind) in [("127.0.0.1:0", "127.0.0.2"), ("[::1]:0", "::1")] {
        let listener = TcpListener::bind(listen).await.unwrap();
        let spec = Spec::Http(Box::new(get()));
        let probe = probe(listener.local_addr().unwrap(), spec, Duration::from_secs(5));
        let target = Target { bind: Some(bind.parse().unwrap()), ..probe.target };
        let check = run(Probe { target, ..probe.clone() }.into());
        let accept = async { listener.accept().await.unwrap().1 };
        let (observation, peer) = tokio::join!(check, accept);
        assert!(matches!(observation.outcome, Outcome::Reset(_)), "{:?}", observation.outcome);
        assert_eq!(peer.ip().to_string(), bind);

        let target = Target { bind: Some("192.0.2.99".parse().unwrap()), ..probe.target };
        match run(Probe { target, ..probe }.into()).await.outcome {
            Outcome::NotRun(text) => assert!(text.starts_with("cannot bind to 192.0.2.99: "), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}
