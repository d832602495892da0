//! The peak that ends a pool, on the site's dataplane: keepalived, ldirectord and Tidegate in the same boot of the
//! lab, one after the other, each with a table, real servers and clients of its own.
//!
//! `cargo bench -p tidegate-integration --bench overload_ipvs`, some six minutes. Names of runs as arguments run only those.
//! Needs, besides what the tests need, the Debian package ldirectord.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::director::Director;
use tidegate_integration::keepalived::Keepalived;
use tidegate_integration::lab::{Lab, output_of, quiet};
use tidegate_integration::peak::{PEAK, Server, Site, virtual_server};
use tidegate_integration::peer::{Peer, directory};

const SEED: u64 = 7;
const DEADLINE: Duration = Duration::from_secs(900);
/// Names the runs in the lab, which gets no arguments.
const RUNS: &str = "TIDEGATE_RUNS";
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let runs: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let lab = Lab::default().with_program().with_memory(1024).with_deadline(DEADLINE);
    lab.with_environment(RUNS, &runs.join(" ")).run(|| {
        quiet();
        output_of("modprobe", &["-a", "ip_vs", "ip_vs_wlc"]);
        measure("keepalived", |site, servers| {
            site.on_director(|| {
                Keepalived::checkers_with_log(&keepalived(servers), std::process::Stdio::null())
            })
        });
        measure("ldirectord", |site, servers| {
            let directory = directory();
            std::fs::write(directory.path().join("ldirectord.cf"), ldirectord(servers)).unwrap();
            let file = directory.path().join("ldirectord.cf");
            let words = [file.to_str().unwrap().to_owned(), "start".to_owned()];
            site.on_director(|| {
                let words = words.each_ref().map(String::as_str);
                Peer::start_until("ldirectord", "ldirectord", &words, directory, || true)
            })
        });
        for (name, lines, server_lines) in [
            ("off", "overload = { mode = \"off\" }", ""),
            ("protect-6", PROTECT, "max_connections = 6"),
            ("protect", PROTECT, ""),
        ] {
            measure(name, |site, servers| {
                let lines = format!("dataplane = \"ipvs\"\n{lines}");
                let configuration = virtual_server(Site::LISTEN, servers, &lines, "");
                let configuration =
                    configuration.replace("address = \"10", &format!("{server_lines}\naddress = \"10"));
                Told(site.launch().start(&configuration))
            });
        }
    });
}

const PROTECT: &str = "overload = { mode = \"protect\" }";

/// A director of ours that says at its end what it knows.
struct Told(Director);

impl Drop for Told {
    fn drop(&mut self) {
        println!("{}", String::from_utf8_lossy(&self.0.command(&["status"]).stdout));
        self.0.log().lines().filter(|line| line.contains("WARN")).for_each(|line| println!("{line}"));
    }
}

fn measure<D>(name: &str, director: impl FnOnce(&Site, &[SocketAddr]) -> D) {
    let runs = std::env::var(RUNS).unwrap();
    if !runs.is_empty() && runs.split(' ').all(|it| it != name) {
        return;
    }
    let site = Site::start(&[Server::default(); 8]);
    let addresses = site.servers().addresses().to_vec();
    let director = director(&site, &addresses);
    let in_service = || site.places().iter().filter(|place| place.weight > 0).count();
    wait_for("all servers to be in service", PATIENCE, || (in_service() == 8).then_some(()));
    std::thread::sleep(Duration::from_secs(5));
    let is_over = AtomicBool::new(false);
    let (answers, (fewest, fullest)) = std::thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let (mut fewest, mut fullest) = (8, 0);
            while !is_over.load(Ordering::Relaxed) {
                let places = site.places();
                fewest = fewest.min(places.iter().filter(|place| place.weight > 0).count());
                fullest = fullest.max(places.iter().map(|place| place.active).max().unwrap_or(0));
                std::thread::sleep(Duration::from_millis(200));
            }
            (fewest, fullest)
        });
        let answers = site.run(&PEAK, SEED);
        is_over.store(true, Ordering::Relaxed);
        (answers, looks.join().unwrap())
    });
    println!("{name}: at least {fewest} in service, at most {fullest} connections at one\n{answers}");
    drop(director);
}

fn keepalived(servers: &[SocketAddr]) -> String {
    let mut text =
        "virtual_server 10.99.0.1 80 {\n delay_loop 2\n lb_algo wlc\n lb_kind NAT\n protocol TCP\n"
            .to_owned();
    for server in servers {
        let _ = writeln!(
            text,
            " real_server {} {} {{\n  HTTP_GET {{\n   url {{\n    path /health\n    status_code 200\n   }}\n   \
             connect_timeout 1\n   retry 2\n   delay_before_retry 2\n  }}\n }}",
            server.ip(),
            server.port()
        );
    }
    text + "}\n"
}

fn ldirectord(servers: &[SocketAddr]) -> String {
    let mut text = "checktimeout=1\nnegotiatetimeout=1\ncheckinterval=2\nquiescent=no\nsupervised=yes\n\
                    logfile=\"/run/ldirectord.log\"\nvirtual=10.99.0.1:80\n"
        .to_owned();
    for server in servers {
        let _ = writeln!(text, "\treal={server} masq 1");
    }
    text + "\tservice=http\n\trequest=\"health\"\n\treceive=\"real\"\n\tscheduler=wlc\n\tprotocol=tcp\n\tchecktype=negotiate\n"
}
