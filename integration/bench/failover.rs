//! What a client sees of a failover, beside keepalived; and how late adverts are on a busy machine.
//!
//! `cargo bench -p tidegate-integration --bench failover`, as root (network namespaces), for ten minutes or so; with
//! `-- --rounds N` more or less often, with `-- --lateness` only the second part. Two directors and a client on a bridge;
//! the client asks every millisecond whoever holds the address, and what is measured is the longest time without an
//! answer. Everything ends in the middle between two adverts, so that rounds can be compared. Client and answers are realtime, so that it is not they who are late.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::{self, Display, Formatter};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use tidegate_integration::clock::now;
use tidegate_integration::datagrams::{self, Client};
use tidegate_integration::director::program;
use tidegate_integration::failover::{Program, Router, Running, wait_for_holder};
use tidegate_integration::namespace::Lan;

const ROUNDS: usize = 7;
const HOSTS: [u8; 2] = [1, 2];
const CLIENT: u8 = 3;
const PRIORITIES: [u8; 2] = [150, 100];
const PATIENCE: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);
const OURS: [Program; 1] = [Program::Tidegate];
const BOTH: [Program; 2] = [Program::Tidegate, Program::Keepalived];

const BUSY: usize = 16;
const BUSY_TIME: Duration = Duration::from_secs(60);

/// How the Active director ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Its link is cut and all of it killed.
    HostDeath,
    /// `kill -9` of the daemon.
    Kill,
    /// SIGTERM
    Stop,
    /// `tidegate failover`
    Order,
}

fn main() {
    // Built before anything is timed.
    program();
    if std::env::args().any(|word| word == "--lateness") {
        return lateness();
    }
    let rounds = rounds();
    println!("Medians of {rounds} rounds; load average at the start: {}", load());
    println!();
    println!("| what | adverts | keepalived | Tidegate | ratio | goal |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for interval in [SECOND, SECOND / 10, SECOND / 100] {
        let [ours, theirs] = medians(rounds, BOTH, interval, End::HostDeath);
        print("host death", interval, Ok(theirs), ours, "ratio 1.05");
    }
    let [ours] = medians(rounds, OURS, SECOND, End::Kill);
    print("`kill -9` of the daemon", SECOND, Err("never: it keeps the address"), ours, "659 ms");
    let [ours, theirs] = medians(rounds, BOTH, SECOND, End::Stop);
    print("ordered stop", SECOND, Ok(theirs), ours, "30 ms");
    let [ours] = medians(rounds, OURS, SECOND, End::Order);
    print("planned switch-over", SECOND, Err("has none"), ours, "30 ms");
    println!();
    lateness();
}

/// Of rounds in which the programs take turns.
fn medians<const N: usize>(rounds: usize, programs: [Program; N], interval: Duration, end: End) -> [f64; N] {
    let mut samples = [const { Vec::new() }; N];
    for _ in 0..rounds {
        for (program, samples) in programs.into_iter().zip(&mut samples) {
            samples.push(gap(program, interval, end));
        }
    }
    samples.map(|mut samples| {
        samples.sort_by(f64::total_cmp);
        eprintln!("{samples:.1?}");
        samples[samples.len() / 2]
    })
}

/// Without a figure of keepalived's it is said why.
fn print(what: &str, interval: Duration, keepalived: Result<f64, &str>, tidegate: f64, goal: &str) {
    let (theirs, ratio) = match keepalived {
        Ok(theirs) => (format!("{theirs:.1} ms"), format!("{:.2}", tidegate / theirs)),
        Err(why) => (why.to_owned(), String::new()),
    };
    println!("| {what} | {} ms | {theirs} | {tidegate:.1} ms | {ratio} | {goal} |", interval.as_millis());
}

/// The longest time without an answer, in milliseconds.
fn gap(program: Program, interval: Duration, end: End) -> f64 {
    let (lan, router) = (Lan::new(3), Router::new(100, interval));
    let routers = std::slice::from_ref(&router);
    let [one, _two] = start(program, &lan, routers);
    let service = (router.address(), 7).into();
    for host in HOSTS {
        datagrams::answer(&lan, host, service);
    }
    let client = Client::start(&lan, CLIENT, service);
    client.wait_for(1, PATIENCE);
    realtime();

    let start = middle(&lan, interval);
    match (end, &one) {
        (End::HostDeath, _) => {
            lan.set_link(1, false);
            lan.kill_all(1);
        }
        (End::Kill, Running::Tidegate(director)) => director.signal("KILL"),
        (End::Stop, director) => director.terminate(),
        (End::Order, Running::Tidegate(director)) => {
            assert!(director.command(&["failover", "r100"]).status.success());
        }
        (End::Kill | End::Order, Running::Keepalived(_)) => unreachable!("keepalived knows no such end"),
    }
    client.wait_for(2, PATIENCE);
    let gap = client.longest_gap(start);
    gap.length.as_secs_f64() * 1e3
}

fn start(program: Program, lan: &Lan, routers: &[Router]) -> [Running; 2] {
    let running = HOSTS.map(|host| program.start(lan, host, routers, PRIORITIES[usize::from(host) - 1]));
    wait_for_holder("an election", lan, &HOSTS, routers, 1, PATIENCE);
    running
}

/// Waits for an advert, and then for half of the time to the next.
fn middle(lan: &Lan, interval: Duration) -> Instant {
    let mut listener = lan
        .command(CLIENT, "tcpdump")
        .args(["--immediate-mode", "-l", "-n", "-i", "eth0", "src 10.77.0.1 and ip proto 112"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("ip runs (Debian package iproute2)");
    let mut line = String::new();
    let read = BufReader::new(listener.stdout.take().unwrap()).read_line(&mut line);
    assert!(read.unwrap() > 0, "no advert: install the Debian package tcpdump");
    let heard = now();
    listener.kill().unwrap();
    listener.wait().unwrap();
    std::thread::sleep((interval / 2).saturating_sub(heard.elapsed()));
    now()
}

/// This process's threads come before whatever is not realtime; what it starts from now on does not.
fn realtime() {
    let own = std::process::id().to_string();
    let set =
        Command::new("chrt").args(["--all-tasks", "--reset-on-fork", "--fifo", "--pid", "40", &own]).output();
    let output = set.expect("chrt runs (Debian package util-linux)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Processes that use all the time they get.
struct Load(Vec<Child>);

impl Load {
    fn start() -> Self {
        let busy = || Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        Self((0..BUSY).map(|_| busy()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for process in &mut self.0 {
            let _ended_already = process.kill();
            let _ = process.wait();
        }
    }
}

fn lateness() {
    println!("| director | transitions in {} s | latest advert | later than 1 ms |", BUSY_TIME.as_secs());
    println!("| --- | --- | --- | --- |");
    let router = [Router::new(100, SECOND / 100)];
    let (lan, theirs) = (Lan::new(2), Lan::new(2));
    let tidegate = start(Program::Tidegate, &lan, &router);
    let keepalived = start(Program::Keepalived, &theirs, &router);
    let before = [&tidegate, &keepalived].map(transitions);
    let floor = {
        let _load = Load::start();
        floor()
    };
    // Once it is calm, so that nobody waits for the answer.
    let after = [&tidegate, &keepalived].map(transitions);
    println!("| Tidegate | {} | {} |", after[0] - before[0], Lateness::of(&tidegate));
    if after[0] > before[0] {
        tidegate.iter().for_each(|it| eprintln!("{}", it.log()));
    }
    println!("| keepalived | {} | | |", after[1] - before[1]);
    println!("| a realtime thread that only sleeps | | {floor} |");
}

/// Of all wake-ups, in milliseconds the greatest, and how many were later than one.
#[derive(Default)]
struct Lateness {
    all: u64,
    late: u64,
    latest: f64,
}

impl Lateness {
    /// That of the adverts; keepalived does not say.
    fn of(pair: &[Running; 2]) -> Self {
        let mut it = Self::default();
        for running in pair {
            let Running::Tidegate(director) = running else { continue };
            let vrrp = &director.status()["vrrp"];
            it.all += vrrp["adverts"].as_u64().unwrap();
            it.late += vrrp["late"].as_u64().unwrap();
            it.latest = it.latest.max(vrrp["latest_ms"].as_f64().unwrap());
        }
        it
    }
}

impl Display for Lateness {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ms | {} of {}", self.latest, self.late, self.all)
    }
}

/// How late this machine lets a realtime thread be that wakes up as often as adverts are sent and does nothing else. It
/// takes as long as the load lasts.
fn floor() -> Lateness {
    let ready = Barrier::new(2);
    let sleep = || {
        ready.wait();
        let start = now();
        let (mut due, mut lateness) = (start, Lateness::default());
        while due < start + BUSY_TIME {
            due += SECOND / 100;
            std::thread::sleep(due.saturating_duration_since(now()));
            let by = now().saturating_duration_since(due).as_secs_f64() * 1e3;
            lateness.all += 1;
            lateness.late += u64::from(by > 1.0);
            lateness.latest = lateness.latest.max(by);
        }
        lateness
    };
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(sleep);
        // It is there by now, and only who is there is made realtime.
        realtime();
        ready.wait();
        sleeper.join().unwrap()
    })
}

fn transitions(pair: &[Running; 2]) -> u64 {
    pair.iter()
        .map(|it| match it {
            Running::Tidegate(director) => director.virtual_router("r100")["transitions"].as_u64().unwrap(),
            Running::Keepalived(keepalived) => keepalived.log().matches(" STATE").count() as u64,
        })
        .sum()
}

fn rounds() -> usize {
    let words: Vec<_> = std::env::args().collect();
    let given = words.iter().position(|word| word == "--rounds").and_then(|at| words.get(at + 1));
    given.map_or(ROUNDS, |word| word.parse().expect("--rounds and a number"))
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap().trim().to_owned()
}
