//! The kernel's dataplane beside keepalived, at scale: how long the whole table takes to get into the kernel, how
//! long a reload takes to get there, how much memory that holds, and whether checks are late meanwhile.
//!
//! `cargo bench -p tidegate-integration --bench ipvs`, for four minutes, or up to fifteen where others work, nearly all
//! of them keepalived's. Both run in the same boot of the lab, one after the other. Each real server is checked by TCP and
//! accepts, but not often: the lab's one CPU does hardly a thousand checks a second, and Tidegate begins with so many.
//!
//! What is there is read from /proc/net/ip_vs once the kernel has what each of the two puts there last. The pause between
//! two looks is ten times as long as the look: so looking costs both the same, at most a tenth of the lab's one CPU. A
//! reload begins with the signal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_integration::clock::now;
use tidegate_integration::director::{Launch, program, resident};
use tidegate_integration::keepalived::Keepalived;
use tidegate_integration::lab::{Lab, ipvsadm, output_of};
use tidegate_ipvs::Connection;
use tidegate_ipvs::table::{Key, Protocol};

/// As in keepalived's issue 2318.
const VIRTUAL_SERVERS: usize = 2_277;
const REAL_SERVERS: usize = 37_205;
/// So many real servers get another weight in the larger one of the reloads.
const CHANGES: usize = 100;
const WEIGHT: u32 = 10;
const OTHER_WEIGHT: u32 = 20;
/// Of the checks.
const INTERVAL: Duration = Duration::from_secs(120);
/// By then Tidegate has made the first check of every real server.
const FIRST_CHECKS: Duration = Duration::from_secs(50);
const SETTLED: Duration = Duration::from_secs(8);
const MEMORY: u32 = 3072;
const DEADLINE: Duration = Duration::from_secs(900);

/// Those virtual servers whose first real server has the other weight.
type Changed = BTreeSet<usize>;

/// What was measured of one of the two.
struct Measured {
    table: Duration,
    many: Duration,
    /// Only one weight changed; not of keepalived, which needs as long as for many.
    one: Option<Duration>,
    /// In bytes, at the end.
    resident: u64,
    late: String,
}

fn main() {
    Lab::default().with_program().with_memory(MEMORY).with_deadline(DEADLINE).run(|| {
        output_of("ip", &["route", "add", "local", "10.0.0.0/8", "dev", "lo"]);
        output_of("modprobe", &["-a", "ip_vs", "ip_vs_wrr"]);
        let listener = TcpListener::bind("0.0.0.0:80").unwrap();
        std::thread::spawn(move || listener.incoming().for_each(drop));
        // The program's pages are read from the host for the first time.
        output_of(program().to_str().unwrap(), &["--version"]);
        output_of("keepalived", &["--version"]);

        let tidegate = tidegate();
        ipvsadm(&["-C"]);
        let keepalived = keepalived();
        print(&tidegate, &keepalived);
    });
}

fn tidegate() -> Measured {
    let start = now();
    let director = Launch::default().spawn(&tidegate_configuration(&Changed::new()));
    let table = whole(start);
    let reload = |changed: &Changed, last: usize| {
        let configuration = tidegate_configuration(changed);
        director.write(&configuration);
        let start = now();
        director.signal("HUP");
        changed_in_kernel(start, changed, last)
    };
    let checks = || checks(&director.socket());
    std::thread::sleep(FIRST_CHECKS.saturating_sub(start.elapsed()));
    let (late_at_first, started_at_first) = checks();
    std::thread::sleep(SETTLED);
    let mut changed = listed_first();
    let last = *changed.last().unwrap();
    let many = reload(&changed, last);
    std::thread::sleep(SETTLED);
    changed.remove(&last);
    let one = Some(reload(&changed, last));
    let resident = resident(director.pid());
    let (late, started) = checks();
    let late = format!(
        "{late_at_first} of the first {started_at_first}, then {} of {}",
        late - late_at_first,
        started - started_at_first
    );
    println!("late checks: {late}");
    Measured { table, many, one, resident, late }
}

/// How many checks were late, of how many. Only the head of the status is read: making something of all of it would
/// keep the lab's one CPU busy for half a minute.
fn checks(socket: &Path) -> (u64, u64) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: tidegate\r\n\r\n").unwrap();
    let mut head = BufReader::new(stream).split(b'}').map(|part| String::from_utf8(part.unwrap()).unwrap());
    let head = head.find(|part| part.contains("\"checks\"")).unwrap();
    let count = |name: &str| {
        let (_, rest) = head.split_once(&format!("\"{name}\":")).unwrap();
        rest.split(',').next().unwrap().trim().parse().unwrap()
    };
    (count("late"), count("started"))
}

fn keepalived() -> Measured {
    let log = tempfile::NamedTempFile::new().unwrap();
    let read = || std::fs::read_to_string(log.path()).unwrap();
    let start = now();
    let keepalived =
        Keepalived::checkers_with_log(&keepalived_configuration(&Changed::new()), log.reopen().unwrap());
    let table = whole(start);
    std::thread::sleep(SETTLED);
    let changed = listed_first();
    let configuration = keepalived_configuration(&changed);
    let start = keepalived.reload(&configuration);
    let many = changed_in_kernel(start, &changed, *changed.last().unwrap());
    std::thread::sleep(SETTLED);
    let log = read();
    let late = log.lines().filter_map(|line| line.split_once("thread timer expired ")?.1.split(' ').next());
    let late = late.filter_map(|seconds| seconds.parse::<f64>().ok()).fold(0.0, f64::max);
    let resident = resident(keepalived.checkers_pid());
    Measured { table, many, one: None, resident, late: format!("timers late by up to {late:.1} s") }
}

fn print(tidegate: &Measured, keepalived: &Measured) {
    println!(
        "{VIRTUAL_SERVERS} virtual servers, {REAL_SERVERS} real servers, each checked by TCP every {INTERVAL:?}:\n"
    );
    println!("| | Tidegate | keepalived | ratio |");
    println!("| --- | --- | --- | --- |");
    let row = |name: &str, unit: &str, value: &dyn Fn(&Measured) -> f64| {
        let (ours, theirs) = (value(tidegate), value(keepalived));
        println!("| {name} | {ours:.2} {unit} | {theirs:.2} {unit} | {:.4} |", ours / theirs);
    };
    row("start until the whole table is in the kernel", "s", &|it| it.table.as_secs_f64());
    row(&format!("reload with {CHANGES} weights changed"), "s", &|it| it.many.as_secs_f64());
    let one = tidegate.one.map_or(f64::NAN, |it| it.as_secs_f64());
    println!("| reload with one weight changed | {one:.2} s | | |");
    row("resident memory", "MB", &|it| it.resident as f64 / 1e6);
    println!("| late checks | {} | {} | |\n", tidegate.late, keepalived.late);
}

/// Since `start`, when the whole table is there.
fn whole(start: Instant) -> Duration {
    let (_, last_pool) = virtual_servers().last().unwrap();
    let mut kernel = Connection::open(DEADLINE).unwrap();
    let took = since(start, || {
        weights(&mut kernel, VIRTUAL_SERVERS - 1).len() == last_pool.len()
            && table().filter(|line| weight(line) == Some(WEIGHT)).count() == REAL_SERVERS
    });
    println!("the whole table after {took:?}");
    took
}

/// Since `start`, when the kernel has the other weights, and only these; `last` is the virtual server that comes last.
fn changed_in_kernel(start: Instant, changed: &Changed, last: usize) -> Duration {
    let expected_last = if changed.contains(&last) { OTHER_WEIGHT } else { WEIGHT };
    let mut kernel = Connection::open(DEADLINE).unwrap();
    let took = since(start, || {
        if weights(&mut kernel, last).first() != Some(&expected_last) {
            return false;
        }
        let (mut expected, mut others) = (0, 0);
        for line in head() {
            if let Some(number) = virtual_server(&line) {
                if others != expected {
                    return false;
                }
                expected += usize::from(changed.contains(&number));
            }
            others += usize::from(weight(&line) == Some(OTHER_WEIGHT));
        }
        others == changed.len()
    });
    println!("{} other weights after {took:?}", changed.len());
    took
}

/// Those of a virtual server, in the order of the real servers.
fn weights(kernel: &mut Connection, number: usize) -> Vec<u32> {
    let address = SocketAddr::from((nth(FIRST_VIRTUAL, number), 80));
    let key = Key::Address { protocol: Protocol::Tcp, address };
    let table = kernel.read(&[key]).unwrap();
    let destinations = table.values().flat_map(|entry| entry.destinations.values());
    destinations.map(|entry| entry.destination.weight).collect()
}

fn since(start: Instant, mut look: impl FnMut() -> bool) -> Duration {
    loop {
        let begin = now();
        let seen = look();
        let end = now();
        if seen {
            return end - start;
        }
        std::thread::sleep((end - begin) * 10);
    }
}

/// The virtual servers that the kernel lists first: to see that they have changed, little has to be read.
fn listed_first() -> Changed {
    head().filter_map(|line| virtual_server(&line)).collect()
}

/// The kernel's table up to the first [`CHANGES`] services.
fn head() -> impl Iterator<Item = String> {
    let mut services = 0;
    table().take_while(move |line| {
        services += usize::from(line.starts_with("TCP"));
        services <= CHANGES
    })
}

/// The kernel's table: `TCP  C0A80001:0050 wrr`, then for each destination
/// `  -> 0A000001:0050      Masq    10     0          0`.
fn table() -> impl Iterator<Item = String> {
    let file = BufReader::new(File::open("/proc/net/ip_vs").unwrap());
    file.lines().map(Result::unwrap).skip(3)
}

/// The number of the virtual server of which the line is the head.
fn virtual_server(line: &str) -> Option<usize> {
    let address = line.strip_prefix("TCP  ")?.split(':').next()?;
    let address = u32::from_str_radix(address, 16).ok()?;
    Some((address - u32::from(FIRST_VIRTUAL)) as usize)
}

fn weight(line: &str) -> Option<u32> {
    line.strip_prefix("  -> ")?.split_whitespace().nth(2)?.parse().ok()
}

const FIRST_VIRTUAL: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
const FIRST_REAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Without overload protection, which keepalived has not.
fn tidegate_configuration(changed: &Changed) -> String {
    let check = format!("type = \"tcp\", interval = \"{INTERVAL:?}\", timeout = \"5s\", initially = \"up\"");
    let mut text = String::new();
    for (number, (address, pool)) in virtual_servers().enumerate() {
        let _ = writeln!(
            text,
            "[[virtual_server]]\nname = \"vs{number}\"\ndataplane = \"ipvs\"\nlisten = \"{address}:80\"\n\
             scheduler = \"wrr\"\ncheck = {{ {check} }}\noverload.mode = \"off\""
        );
        for (real_server, weight) in real_servers(pool, changed.contains(&number)) {
            let _ = writeln!(
                text,
                "[[virtual_server.real_server]]\naddress = \"{real_server}:80\"\nweight = {weight}"
            );
        }
    }
    text
}

fn keepalived_configuration(changed: &Changed) -> String {
    let mut text = String::new();
    for (number, (address, pool)) in virtual_servers().enumerate() {
        let interval = INTERVAL.as_secs();
        let _ = writeln!(
            text,
            "virtual_server {address} 80 {{\n delay_loop {interval}\n lb_algo wrr\n lb_kind NAT\n protocol TCP"
        );
        for (real_server, weight) in real_servers(pool, changed.contains(&number)) {
            let _ = writeln!(
                text,
                " real_server {real_server} 80 {{\n weight {weight}\n TCP_CHECK {{\n connect_timeout 5\n }}\n }}"
            );
        }
        text.push_str("}\n");
    }
    text
}

/// Each address with the numbers of its real servers.
fn virtual_servers() -> impl Iterator<Item = (Ipv4Addr, Range<usize>)> {
    let first = |number: usize| number * REAL_SERVERS / VIRTUAL_SERVERS;
    (0..VIRTUAL_SERVERS).map(move |number| (nth(FIRST_VIRTUAL, number), first(number)..first(number + 1)))
}

fn real_servers(pool: Range<usize>, changed: bool) -> impl Iterator<Item = (Ipv4Addr, u32)> {
    let first = pool.start;
    pool.map(move |number| {
        let weight = if changed && number == first { OTHER_WEIGHT } else { WEIGHT };
        (nth(FIRST_REAL, number), weight)
    })
}

fn nth(first: Ipv4Addr, number: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(first) + number as u32)
}
