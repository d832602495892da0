//! Virtual servers in a kernel with IPVS, in the lab. ipvsadm is the independent reader and the one who interferes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod drift;
mod kill;
mod missing;
mod overload;
mod table;
mod traffic;

use std::time::Duration;

use tidegate_integration::clock::now;
use tidegate_integration::lab::ipvsadm_save;

/// The lab has one slow CPU.
const PATIENCE: Duration = Duration::from_secs(20);

/// A virtual server in IPVS: its keys, a line each, and its real servers, each a table's keys.
fn virtual_server(name: &str, keys: &str, servers: &[&str]) -> String {
    let servers = servers.iter().map(|keys| format!("[[virtual_server.real_server]]\n{keys}\n"));
    format!(
        "[[virtual_server]]\nname = \"{name}\"\ndataplane = \"ipvs\"\n{keys}\n{}",
        servers.collect::<String>()
    )
}

/// ipvsadm's lines in an order of their own: the kernel's is that of a hash.
fn table() -> Vec<String> {
    sorted(ipvsadm_save())
}

fn sorted<T: Into<String>>(lines: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut lines: Vec<_> = lines.into_iter().map(Into::into).collect();
    lines.sort();
    lines
}

/// Waits until the kernel holds this and nothing else; how long that took.
fn wait_for_table(expected: &[String]) -> Duration {
    let start = now();
    while table() != expected && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(table(), expected, "not after {PATIENCE:?}");
    start.elapsed()
}
