//! What the director makes of a pool: health, quorum, and who gets the traffic, seen by clients and in the status.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "pool/advice.rs"]
mod advice;
#[path = "pool/checks.rs"]
mod checks;
#[path = "pool/quorum.rs"]
mod quorum;
#[path = "pool/traffic.rs"]
mod traffic;
#[path = "pool/weights.rs"]
mod weights;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tidegate_integration::client::get;
use tidegate_integration::clock::wait_for;
use tidegate_integration::director::{Director, Launch};
use tidegate_integration::web::{Answer, Web};

const PATIENCE: Duration = Duration::from_secs(20);
/// Two failures in a row, so that one stall of a busy machine takes nobody down.
const CHECK: &str =
    "check = { type = \"http\", path = \"/health\", interval = \"500ms\", rise = 1, fall = 2 }\n";

/// A virtual server `name` with these lines of its own and these real servers, each with lines of its own.
fn virtual_server(name: &str, listen: SocketAddr, lines: &str, servers: &[(SocketAddr, &str)]) -> String {
    let mut text = format!("[[virtual_server]]\nname = \"{name}\"\nlisten = \"{listen}\"\n{lines}\n");
    for (address, lines) in servers {
        text.push_str(&format!("[[virtual_server.real_server]]\naddress = \"{address}\"\n{lines}\n"));
    }
    text
}

/// The virtual server `web` with [`CHECK`] and these real servers, each of weight 10.
fn web(listen: SocketAddr, lines: &str, servers: &[Web]) -> String {
    let servers: Vec<_> = servers.iter().map(|it| (it.address(), "weight = 10")).collect();
    virtual_server("web", listen, &format!("{CHECK}{lines}"), &servers)
}

/// Starts it with one thread in the proxy, so that round robin is one sequence, and waits until these are up.
fn start(configuration: &str, up: &[Web]) -> Director {
    let director = Launch::default().with_director("proxy_threads = 1").start(configuration);
    for server in up {
        wait_for_state(&director, server, "up");
    }
    director
}

fn wait_for_state(director: &Director, server: &Web, state: &str) {
    director.wait_for_state("web", &server.address().to_string(), state);
}

fn real_server(director: &Director, server: &Web) -> serde_json::Value {
    director.real_server("web", &server.address().to_string())
}

/// Breaks its health, but not its service, and waits until the director knows.
fn fall_ill(director: &Director, server: &Web) {
    server.answer("/health", Answer::Unavailable);
    wait_for_state(director, server, "down");
}

fn recover(director: &Director, server: &Web) {
    server.answer("/health", Answer::Ok);
    wait_for_state(director, server, "up");
}

/// Who answers so many connections, and how often.
fn shares(listen: SocketAddr, connections: usize) -> BTreeMap<SocketAddr, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..connections {
        let server = get(listen, "/").expect("an answer").parse().expect("an address");
        *shares.entry(server).or_default() += 1;
    }
    shares
}

/// Waits until new connections go to these and to nobody else: what the status says reaches the traffic at once,
/// but not before it is said.
fn wait_for_servers(listen: SocketAddr, servers: &[&Web]) {
    let mut expected: Vec<_> = servers.iter().map(|it| it.address()).collect();
    expected.sort();
    wait_for(&format!("traffic to {expected:?}"), PATIENCE, || {
        (shares(listen, 3 * expected.len()).into_keys().collect::<Vec<_>>() == expected).then_some(())
    });
}
