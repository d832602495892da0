//! The peak that ends a pool: eight real servers good for 80 requests a second are asked for 110.
//!
//! `cargo bench -p tidegate-integration --bench overload`, some ten minutes. Names of runs as arguments run only those.
//! Needs, besides what the tests need, the Debian package haproxy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tidegate_integration::director::Director;
use tidegate_integration::peak::{Answers, Clients, Phase, Server, Servers, virtual_server};
use tidegate_integration::peer::{Peer, directory};
use tidegate_integration::sockets::free_port;

const PHASES: [Phase; 3] = [
    Phase { rate: 40.0, seconds: 10 },
    Phase { rate: 110.0, seconds: 20 },
    Phase { rate: 60.0, seconds: 20 },
];
const SEED: u64 = 7;

fn main() {
    assert!(Path::new("/usr/sbin/haproxy").exists(), "install the Debian package haproxy");
    let wanted: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let run = |name: &str, run: &dyn Fn() -> Answers| {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            println!("{name}\n{}", run());
        }
    };
    let eight = [Server::default(); 8];
    run("haproxy", &|| haproxy(&eight, ""));
    run("haproxy-maxconn", &|| haproxy(&eight, " maxconn 4"));
    run("off", &|| tidegate(&eight, "off", 1.0));
    run("protect", &|| tidegate(&eight, "protect", 1.0));
    let unequal = [2, 2, 2, 2, 6, 6, 6, 6].map(|workers| Server { workers, ..Server::default() });
    run("unequal", &|| tidegate(&unequal, "protect", 1.0));
    let quick = [Server { service: Duration::from_millis(20), ..Server::default() }; 8];
    run("quick", &|| tidegate(&quick, "protect", 20.0));
}

fn tidegate(servers: &[Server], mode: &str, times: f64) -> Answers {
    let servers = Servers::start(servers);
    let listen = free_port();
    let mode = format!("overload = {{ mode = \"{mode}\" }}");
    let director = Director::start(&virtual_server(listen, servers.addresses(), &mode, ""));
    let answers = peak(listen, times);
    println!("{}", String::from_utf8_lossy(&director.command(&["status"]).stdout));
    director.log().lines().filter(|line| line.contains("WARN")).for_each(|line| println!("{line}"));
    answers
}

fn haproxy(servers: &[Server], options: &str) -> Answers {
    let servers = Servers::start(servers);
    let listen = free_port();
    let mut text = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n timeout queue 1s\n\
         listen web\n bind {listen}\n balance leastconn\n option abortonclose\n option httpchk GET /health\n"
    );
    for (number, address) in servers.addresses().iter().enumerate() {
        let _ = writeln!(text, " server s{number} {address} check inter 2s{options}");
    }
    let directory = directory();
    std::fs::write(directory.path().join("haproxy.cfg"), text).unwrap();
    let _haproxy = Peer::start("haproxy", "haproxy", &["-db", "-f", "haproxy.cfg"], directory, listen);
    peak(listen, 1.0)
}

fn peak(listen: SocketAddr, times: f64) -> Answers {
    // The checks' first verdicts.
    std::thread::sleep(Duration::from_secs(5));
    let phases = PHASES.map(|phase| Phase { rate: phase.rate * times, ..phase });
    Clients::new(listen).run(&phases, SEED)
}
