//! Checks at scale: what a check costs, beside HAProxy's checker; how many start late; half-open checks on one core.
//!
//! `cargo bench -p tidegate-integration --bench checks [-- tcp|http|late|scripts|half-open|keepalived …]`, as root (a network namespace), for
//! seven minutes or so. The real servers are addresses of loopback, so a check's cost includes both ends of its
//! packets' way through the kernel, but not the work of the program that answers.
//!
//! Needs, besides what the tests need, the Debian package haproxy. The last part is done in the lab, beside keepalived.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, accept, bind, listen, socket_with};
use tempfile::TempDir;
use tidegate_checkers::{Probe, Runner, Settings, Spec, Target};
use tidegate_integration::director::{Director, PROGRAM, program, resident};
use tidegate_integration::keepalived::Keepalived;
use tidegate_integration::lab::{Lab, in_lab, output_of};
use tidegate_integration::nginx::Nginx;
use tidegate_integration::sockets::free_port;
use tidegate_integration::web::Web;

const ROUNDS: usize = 3;
const SERVERS: u32 = 5_000;
const POOL: u32 = 100;
const SETTLED: Duration = Duration::from_secs(8);
const MEASURED: Duration = Duration::from_secs(12);
/// The LVS HOWTO's, and those of keepalived's issue 2318.
const LARGE: [u32; 2] = [2_544, 37_205];
const SCRIPTS: [u32; 2] = [10, 10_000];
const LAB_SERVERS: u32 = 200;
const HALF_OPEN: u64 = 200_000;
const CHILD: &str = "child";
const HALF_OPEN_CHILD: &str = "half-open-child";

fn main() {
    let parts: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if in_lab() {
        return beside_keepalived();
    }
    // Built before anything is timed, and before there is no network.
    program();
    match parts.first().map(String::as_str) {
        Some(CHILD) => run(&parts[1..]),
        Some(HALF_OPEN_CHILD) => half_open(),
        _ => {
            let words = [&[CHILD.to_owned()], parts.as_slice()].concat();
            again(&["unshare", "--net"], &words);
            if parts.is_empty() || parts.iter().any(|it| it == "keepalived") {
                beside_keepalived();
            }
        }
    }
}

/// Runs this program again by `command`.
fn again(command: &[&str], words: &[String]) {
    let status = Command::new(command[0])
        .args(&command[1..])
        .arg(std::env::current_exe().unwrap())
        .args(words)
        .env(PROGRAM, program())
        .status();
    assert!(status.expect("taskset and unshare run (Debian package util-linux)").success());
}

/// In a network namespace of its own, where nobody else makes connections.
fn run(parts: &[String]) {
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(status.expect("ip runs (Debian package iproute2)").success());
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|it| it == part);
    println!("Load average at the start: {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim());
    for kind in [Kind::Tcp, Kind::Http].into_iter().filter(|kind| wanted(kind.name())) {
        compare(kind);
    }
    if wanted("late") {
        late();
    }
    if wanted("scripts") {
        scripts();
    }
    if wanted("half-open") {
        again(&["taskset", "-c", "1"], &[HALF_OPEN_CHILD.to_owned()]);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Http,
}

/// What was measured of one of the two.
struct Cost {
    /// CPU time, in µs.
    check: f64,
    /// In a second.
    checks: f64,
    /// In MB.
    resident: f64,
}

/// One after the other, so that neither disturbs the other; the rounds take turns.
fn compare(kind: Kind) {
    let peer = Peer::start(kind);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let director = Director::start(&tidegate(kind, SERVERS, peer.port));
        ours.push(measure(director.pid()));
        drop(director);
        let haproxy = Haproxy::start(kind, peer.port);
        theirs.push(measure(haproxy.process.id()));
    }
    println!("\n{} by {}, every second; medians of {ROUNDS} rounds:\n", SERVERS, kind.name());
    println!("| | CPU µs a check | checks/s | resident MB |\n| --- | --- | --- | --- |");
    let median = |of: &[Cost], what: fn(&Cost) -> f64| {
        let mut values: Vec<_> = of.iter().map(what).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    let row =
        |of: &[Cost]| [median(of, |it| it.check), median(of, |it| it.checks), median(of, |it| it.resident)];
    let (ours, theirs) = (row(&ours), row(&theirs));
    for (name, [check, checks, resident]) in [("Tidegate", ours), ("HAProxy", theirs)] {
        println!("| {name} | {check:.1} | {checks:.0} | {resident:.1} |");
    }
    println!("| ratio (goal) | {:.2} (1.05) | | {:.2} (0.35) |", ours[0] / theirs[0], ours[2] / theirs[2]);
}

fn measure(pid: u32) -> Cost {
    std::thread::sleep(SETTLED);
    let (before, count) = (cpu(pid), begun());
    std::thread::sleep(MEASURED);
    let checks = (begun() - count) as f64;
    Cost {
        check: (cpu(pid) - before) * 1e6 / checks,
        checks: checks / MEASURED.as_secs_f64(),
        resident: resident(pid) as f64 / 1e6,
    }
}

/// Of all threads, user and system, in seconds.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|it| it.parse::<u64>().unwrap()).sum();
    // USER_HZ, which the kernel promises.
    ticks as f64 / 100.0
}

fn late() {
    println!("\nby TCP, every second, over {MEASURED:?} after the first {SETTLED:?}:\n");
    println!("| real servers | checks/s | later than 100 ms | CPU µs a check |\n| --- | --- | --- | --- |");
    for servers in LARGE {
        let peer = Peer::start(Kind::Tcp);
        let director = Director::start(&tidegate(Kind::Tcp, servers, peer.port));
        let late = || director.status()["director"]["checks"]["late"].as_u64().unwrap();
        std::thread::sleep(SETTLED);
        let before = late();
        let cost = measure(director.pid());
        println!("| {servers} | {:.0} | {} | {:.1} |", cost.checks, late() - before, cost.check);
    }
}

/// In the lab, where keepalived has the kernel's IPVS that it does not check without, and a system call costs many
/// times what it costs elsewhere.
fn beside_keepalived() {
    Lab::default().with_program().with_memory(1024).run(|| {
        output_of("modprobe", &["-a", "ip_vs", "ip_vs_rr"]);
        let peer = Peer::start(Kind::Http);
        let director = Director::start(&tidegate(Kind::Http, LAB_SERVERS, peer.port));
        let ours = measure(director.pid());
        drop(director);
        let keepalived = Keepalived::checkers_with_log(&keepalived(LAB_SERVERS, peer.port), Stdio::null());
        // It starts its checkers with a delay.
        std::thread::sleep(SETTLED);
        let theirs = measure(keepalived.checkers_pid());
        println!("\n{LAB_SERVERS} by http, every second, in the lab:\n");
        println!("| | CPU µs a check | checks/s | resident MB |\n| --- | --- | --- | --- |");
        for (name, it) in [("Tidegate", &ours), ("keepalived", &theirs)] {
            println!("| {name} | {:.0} | {:.0} | {:.1} |", it.check, it.checks, it.resident);
        }
        println!("| ratio | {:.2} | | {:.2} |", ours.check / theirs.check, ours.resident / theirs.resident);
    });
}

fn keepalived(servers: u32, port: u16) -> String {
    let check = "HTTP_GET {\n url {\n path /health\n status_code 200\n }\n connect_timeout 1\n }";
    let head = "virtual_server 192.0.2.10 80 {\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n";
    let pool: String = (0..servers)
        .map(|number| format!(" real_server {} {port} {{\n {check}\n }}\n", address(number)))
        .collect();
    format!("{head}{pool}}}\n")
}

/// How evenly an HTTP check is made beside programs that are due every second, more of them than the machine can run.
fn scripts() {
    println!("\nan HTTP check every second (±5 %) beside scripts, over {MEASURED:?}:\n");
    println!("| scripts | from one check to the next, at most |\n| --- | --- |");
    for scripts in SCRIPTS {
        let web = Web::start();
        let mut text = format!(
            "[[virtual_server]]\nname = \"web\"\nlisten = \"127.200.0.1:8080\"\n\
             check = {{ type = \"http\", interval = \"1s\" }}\n\
             real_server = [{{ address = \"{}\" }}]\n\
             [[virtual_server]]\nname = \"scripts\"\nlisten = \"127.200.0.2:8080\"\n\
             check = {{ type = \"script\", command = \"/bin/true\", interval = \"1s\" }}\n",
            web.address()
        );
        for number in 0..scripts {
            let _ = writeln!(text, "[[virtual_server.real_server]]\naddress = \"{}:80\"", address(number));
        }
        let director = Director::start(&text);
        std::thread::sleep(SETTLED);
        let before = web.seen("/").len();
        std::thread::sleep(MEASURED);
        drop(director);
        let seen = &web.seen("/")[before..];
        let worst = seen.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap();
        println!("| {scripts} | {worst:.3?} |");
    }
}

/// On one core, which does the real servers' part too.
fn half_open() {
    let peer = Peer::start(Kind::Tcp);
    let spec = Arc::new(Spec::TcpHalfOpen);
    let second = Duration::from_secs(1);
    let probes: Vec<_> = (0..HALF_OPEN)
        .map(|id| {
            let target = Target { address: (address(id as u32), peer.port).into(), bind: None, fwmark: None };
            Arc::new(Probe { id, target, spec: Arc::clone(&spec), interval: second, timeout: second })
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (passed, asked, cpu) = runtime.block_on(async {
        let (sender, mut observations) = tokio::sync::mpsc::channel(4);
        let runner = Runner::start(Settings { max_concurrent: 10_000, threads: 1, seed: 1 }, sender);
        runner.update(probes);
        let (mut passed, mut asked, mut from, mut begin) = (0, 0, 0.0, None);
        let settled = tokio::time::sleep(SETTLED);
        let end = tokio::time::sleep(SETTLED + MEASURED);
        tokio::pin!(settled, end);
        loop {
            tokio::select! {
                () = &mut end => break,
                () = &mut settled, if begin.is_none() => {
                    (passed, asked, from, begin) = (0, 0, cpu(std::process::id()), Some(()));
                }
                batch = observations.recv() => for observation in batch.expect("it runs") {
                    asked += 1;
                    passed += u32::from(observation.outcome == tidegate_checkers::Outcome::Passed(String::new()));
                }
            }
        }
        (passed, asked, cpu(std::process::id()) - from)
    });
    let seconds = MEASURED.as_secs_f64();
    println!(
        "\n{HALF_OPEN} half-open, on one core: {:.0} checks/s (goal 100,000), {} of {asked} failed, CPU {:.1} µs a check",
        f64::from(asked) / seconds,
        asked - passed,
        cpu * 1e6 / f64::from(asked)
    );
}

/// Connections that were begun in this namespace. What a check has begun need not reach the server's program:
/// HAProxy's checks by TCP end before the handshake does.
fn begun() -> u64 {
    let text = std::fs::read_to_string("/proc/net/snmp").unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: ")).map(|line| line.split(' '));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    names.zip(values).find(|(name, _)| *name == "ActiveOpens").unwrap().1.parse().unwrap()
}

/// Whoever answers all checks, on every address of loopback.
struct Peer {
    port: u16,
    _nginx: Option<Nginx>,
}

impl Peer {
    fn start(kind: Kind) -> Self {
        let port = free_port().port();
        let nginx = match kind {
            Kind::Tcp => {
                accept_all(port);
                None
            }
            Kind::Http => {
                let location = "location /health { return 200 ok; }";
                Some(Nginx::start(&format!("server {{ listen 0.0.0.0:{port} backlog=4096; {location} }}")))
            }
        };
        Self { port, _nginx: nginx }
    }
}

/// Takes every connection and closes it.
fn accept_all(port: u16) {
    let listener = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&listener, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).unwrap();
    listen(&listener, 65_535).unwrap();
    std::thread::spawn(move || {
        loop {
            // It may have been reset.
            drop(accept(&listener));
        }
    });
}

struct Haproxy {
    process: Child,
    _folder: TempDir,
}

impl Haproxy {
    fn start(kind: Kind, port: u16) -> Self {
        let check = match kind {
            Kind::Tcp => "",
            Kind::Http => {
                "    option httpchk\n    http-check send meth GET uri /health ver HTTP/1.1 hdr Host example.com\n    \
                 http-check expect status 200-299\n"
            }
        };
        let mut text = String::from(
            "global\n    maxconn 1000\ndefaults\n    mode tcp\n    timeout connect 5s\n    timeout client 60s\n    \
             timeout server 60s\n    timeout check 1s\n    default-server inter 1s\n",
        );
        for number in 0..SERVERS {
            if number % POOL == 0 {
                let pool = number / POOL;
                let _ = write!(
                    text,
                    "listen pool{pool}\n    bind 127.200.0.{}:8080\n    balance roundrobin\n{check}",
                    1 + pool
                );
            }
            let _ = writeln!(text, "    server s{number} {}:{port} check", address(number));
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let file: &Path = &file;
        let process = Command::new("haproxy").args(["-db", "-f"]).arg(file).stdin(Stdio::null()).spawn();
        Self { process: process.expect("haproxy runs (Debian package haproxy)"), _folder: folder }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _ = self.process.wait();
    }
}

fn tidegate(kind: Kind, servers: u32, port: u16) -> String {
    let check = match kind {
        Kind::Tcp => "type = \"tcp\"",
        Kind::Http => "type = \"http\"\npath = \"/health\"\nhost = \"example.com\"",
    };
    let mut text = format!("[defaults.check]\n{check}\ninterval = \"1s\"\ntimeout = \"1s\"\n");
    for number in 0..servers {
        if number % POOL == 0 {
            let pool = number / POOL;
            let _ = write!(
                text,
                "\n[[virtual_server]]\nname = \"pool{pool}\"\nlisten = \"127.200.{}.{}:8080\"\nscheduler = \"rr\"\n",
                pool / 200,
                1 + pool % 200
            );
        }
        let _ = writeln!(text, "[[virtual_server.real_server]]\naddress = \"{}:{port}\"", address(number));
    }
    text
}

/// 127.1.0.1 and on.
fn address(number: u32) -> Ipv4Addr {
    let (network, host) = (number / 250, 1 + number % 250);
    Ipv4Addr::new(127, 1 + (network / 250) as u8, (network % 250) as u8, host as u8)
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
        }
    }
}
