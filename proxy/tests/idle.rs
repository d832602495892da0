//! An idle proxy costs nothing. Alone in its process, because it measures all of the process's proxy threads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use support::*;

#[test]
fn an_idle_proxy_sleeps() {
    within(60, || {
        let server = Server::echo();
        let key = tcp(v4(free_port()));
        let mut proxy = start(2);
        publish(&mut proxy, [service(key, &[to(server.address, 1)])]);
        // Every state that could spin: silent, half-closed by either side, with data nobody takes.
        let silent = echoing(key.listen);
        let half = echoing(key.listen);
        half.shutdown(Shutdown::Write).unwrap();
        let mut stuffed = echoing(key.listen);
        stuffed.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        while stuffed.write(&[0; 65536]).is_ok() {}
        thread::sleep(Duration::from_millis(200));
        let before = proxy_ticks();
        thread::sleep(Duration::from_secs(1));
        let spent = proxy_ticks() - before;
        assert!(spent <= 10, "{spent} ticks of 10 ms in a second");
        drop((silent, half, stuffed));
    });
}

/// Processor time of all proxy threads of this process, in ticks of 10 ms.
fn proxy_ticks() -> u64 {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
        if let Some((_, rest)) = stat.split_once("(proxy-").and_then(|parts| parts.1.split_once(") ")) {
            let fields: Vec<_> = rest.split_whitespace().collect();
            ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    ticks
}
