//! A process that has run out of descriptors. Apart from the other tests, because the child that it starts has
//! their sockets for a moment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::process::Command;
use std::thread;
use std::time::Duration;

use support::*;

const CHILD: &str = "TIDEGATE_TEST_FEW_DESCRIPTORS";

/// In a process of its own with 64 descriptors, most of them taken by somebody else.
#[test]
fn a_process_without_descriptors_recovers() {
    if std::env::var_os(CHILD).is_some() {
        return within(50, exhausted);
    }
    within(60, || {
        let mut child = Command::new("sh");
        child.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
        child.args(["a_process_without_descriptors_recovers", "--exact", "--nocapture"]).env(CHILD, "1");
        let output = child.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

fn exhausted() {
    let server = Server::named("a");
    let key = tcp(v4(free_port()));
    let mut proxy = start(1);
    publish(&mut proxy, [service(key, &[to(server.address, 1)])]);
    let limits = proxy.limits();
    assert_eq!((limits.descriptors, limits.max_connections), (64, 23));
    assert_eq!(ask(key.listen).unwrap(), "a");
    // Until that connection is closed everywhere.
    thread::sleep(Duration::from_millis(500));

    // All but one, which is for the client: the proxy has nothing to accept with.
    let mut taken = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        taken.push(file);
    }
    taken.pop();
    let client = thread::spawn(move || ask(key.listen));
    thread::sleep(Duration::from_millis(500));
    assert!(!client.is_finished());
    taken.clear();
    assert_eq!(client.join().unwrap().unwrap(), "a");
    thread::sleep(Duration::from_millis(500));

    // Two: it can accept, but has nothing to connect with.
    while let Ok(file) = std::fs::File::open("/dev/null") {
        taken.push(file);
    }
    taken.truncate(taken.len() - 2);
    assert!(is_turned_away(key.listen));
    assert_eq!(counted(&proxy, key).over_limit, 1);
    assert_eq!(destination(&proxy, server.address).connect_failures, 0);
    taken.clear();
    assert_eq!(ask(key.listen).unwrap(), "a");
    assert!(proxy.healthy());
}
