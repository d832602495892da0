//! Checks against real servers: nginx, and sockets that misbehave as real servers do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "checks/basics.rs"]
mod basics;
#[path = "checks/calls.rs"]
mod calls;
#[path = "checks/databases.rs"]
mod databases;
#[path = "checks/datagrams.rs"]
mod datagrams;
#[path = "checks/directory.rs"]
mod directory;
#[path = "checks/dns.rs"]
mod dns;
#[path = "checks/half_open.rs"]
mod half_open;
#[path = "checks/http.rs"]
mod http;
#[path = "checks/mail.rs"]
mod mail;
#[path = "checks/messages.rs"]
mod messages;
#[path = "checks/misbehaving.rs"]
mod misbehaving;
#[path = "checks/network.rs"]
mod network;
#[path = "checks/ntp.rs"]
mod ntp;
#[path = "checks/ping.rs"]
mod ping;
#[path = "checks/programs.rs"]
mod programs;
#[path = "checks/proxy.rs"]
mod proxy;
#[path = "checks/radius.rs"]
mod radius;
#[path = "checks/runner.rs"]
mod runner;
#[path = "checks/server.rs"]
mod server;
#[path = "checks/tcp.rs"]
mod tcp;
#[path = "checks/text.rs"]
mod text;
#[path = "checks/tls.rs"]
mod tls;
#[path = "checks/udp.rs"]
mod udp;

#[path = "checks/written.rs"]
mod written;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_checkers::{HttpSpec, HttpVersion, Observation, Outcome, Probe, Spec, StatusRange, Target, run};

/// `GET /` of HTTP/1.1, satisfied by any status from 200 to 299.
fn get() -> HttpSpec {
    HttpSpec {
        tls: None,
        version: HttpVersion::Http11,
        tunnel: None,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: None,
        headers: Vec::new(),
        status: vec![StatusRange { first: 200, last: 299 }],
        body: None,
        max_body: 64 << 10,
    }
}

fn probe(address: SocketAddr, spec: Spec, timeout: Duration) -> Probe {
    let target = Target { address, bind: None, fwmark: None };
    Probe { id: 1, target, spec: Arc::new(spec), interval: Duration::from_secs(1), timeout }
}

/// What comes of asking once, with plenty of time.
async fn ask(address: SocketAddr, spec: HttpSpec) -> Outcome {
    observe(address, Spec::Http(Box::new(spec)), Duration::from_secs(10)).await.outcome
}

async fn observe(address: SocketAddr, spec: Spec, timeout: Duration) -> Observation {
    run(Arc::new(probe(address, spec, timeout))).await
}

/// Asks with one second of time and expects that this is how long it takes, by a clock that is not the check's.
async fn ask_for_a_second(address: SocketAddr, spec: HttpSpec) -> Outcome {
    let start = tokio::time::Instant::now();
    let observation = observe(address, Spec::Http(Box::new(spec)), Duration::from_secs(1)).await;
    let took = start.elapsed();
    assert!((800..=1200).contains(&took.as_millis()), "took {took:?}: {:?}", observation.outcome);
    observation.outcome
}

fn passed(status: &str) -> Outcome {
    Outcome::Passed(status.to_owned())
}

/// The text of a wrong answer.
fn wrong(outcome: Outcome) -> String {
    match outcome {
        Outcome::WrongAnswer(text) => text,
        other => panic!("not a wrong answer: {other:?}"),
    }
}
