//! The peak that ends a pool: eight real servers good for 80 requests a second are asked for 110.
//!
//! `cargo bench -p tidegate-integration --bench overload`, some ten minutes. Names of runs as arguments run only those.
//! Needs, besides what the tests need, the Debian package haproxy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_integration::clock::now;
use tidegate_integration::director::Director;
use tidegate_integration::peak::{Answers, Clients, PEAK, Phase, Server, Servers, Site, virtual_server};
use tidegate_integration::peer::{Peer, directory};
use tidegate_integration::sockets::free_port;

const SEED: u64 = 7;
/// The checks have given their first verdicts by then.
const WARM_UP: Duration = Duration::from_secs(5);
const DISTURBED: Duration = Duration::from_secs(5);
const PROTECT: &str = "overload = { mode = \"protect\" }";

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
    run("killed", &|| disturbed(&|servers, _| servers.kill(0)));
    run("stopped", &|| {
        disturbed(&|_, director| {
            director.signal("STOP");
            std::thread::sleep(Duration::from_secs(5));
            director.signal("CONT");
        })
    });
    run("busy", &|| disturbed(&|_, _| keep_busy(Duration::from_secs(10))));
    run("lost", &lost);
}

/// The peak, and what happens five seconds into it.
fn disturbed(act: &dyn Fn(&Servers, &Director)) -> Answers {
    let servers = Servers::start(&[Server::default(); 8]);
    let listen = free_port();
    let director = Director::start(&virtual_server(listen, servers.addresses(), PROTECT, ""));
    let clients = std::thread::spawn(move || peak(listen, 1.0));
    std::thread::sleep(WARM_UP + Duration::from_secs(PEAK[0].seconds.into()) + DISTURBED);
    act(&servers, &director);
    let acted = now();
    watch(&director, acted, || clients.is_finished());
    tell(&director);
    clients.join().unwrap()
}

/// Checks that are lost on their way for 12 s of the peak.
fn lost() -> Answers {
    let site = Site::start(&[Server::default(); 8]);
    let check = format!("bind = \"{}\"", Site::CHECKS);
    let director =
        site.launch().start(&virtual_server(Site::LISTEN, site.servers().addresses(), PROTECT, &check));
    let answers = std::thread::scope(|scope| {
        let clients = scope.spawn(|| {
            std::thread::sleep(WARM_UP);
            site.run(&PEAK, SEED)
        });
        std::thread::sleep(WARM_UP + Duration::from_secs(PEAK[0].seconds.into()) + DISTURBED);
        site.lose_checks(true);
        let mends = scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(12));
            site.lose_checks(false);
        });
        watch(&director, now(), || clients.is_finished());
        mends.join().unwrap();
        clients.join().unwrap()
    });
    tell(&director);
    answers
}

/// Looks who is in service until the clients are done.
fn watch(director: &Director, acted: Instant, is_over: impl Fn() -> bool) {
    let mut out = BTreeMap::new();
    while !is_over() {
        let pool = director.virtual_server("web")["real_servers"].clone();
        for server in pool.as_array().unwrap().iter().filter(|it| it["weight"] == 0) {
            out.entry(server["address"].to_string()).or_insert(acted.elapsed());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("  out of service, after: {out:?}");
}

fn keep_busy(time: Duration) {
    let end = now() + time;
    let cores = std::thread::available_parallelism().unwrap().get();
    (0..2 * cores).for_each(|_| drop(std::thread::spawn(move || while now() < end {})));
}

fn tell(director: &Director) {
    println!("{}", String::from_utf8_lossy(&director.command(&["status"]).stdout));
    director.log().lines().filter(|line| line.contains("WARN")).for_each(|line| println!("{line}"));
}

fn tidegate(servers: &[Server], mode: &str, times: f64) -> Answers {
    let servers = Servers::start(servers);
    let listen = free_port();
    let mode = format!("overload = {{ mode = \"{mode}\" }}");
    let director = Director::start(&virtual_server(listen, servers.addresses(), &mode, ""));
    let answers = peak(listen, times);
    tell(&director);
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
    std::thread::sleep(WARM_UP);
    let phases = PEAK.map(|phase| Phase { rate: phase.rate * times, ..phase });
    Clients::new(listen).run(&phases, SEED)
}
