//! The guard of a process that is killed. The test starts itself again, as the daemon and as the daemon's guard.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write, stdin};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::director::{front, holding, until};
use super::refusal::tables;
use crate::config::{Config, Family};
use crate::holding::{Holding, Rule};
use crate::io::guard::{self, Program};
use crate::io::keeper::{Keeper, Settings, Setup};
use crate::io::namespace::Host;
use crate::io::socket::{Buffer, Listener};
use crate::io::tests::router;
use crate::io::{Inbox, Orders, clock};

const NAME: &str = "io::keeper::tests::guard::a_guard_resigns_and_lets_go_for_a_daemon_that_has_not";

/// Those of this test in a role of its own.
fn arguments(role: &str) -> [String; 4] {
    ["--exact", NAME, "--nocapture", role].map(str::to_owned)
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Daemon {
    fn guard(&self) -> Pid {
        let id = self.0.id();
        let children = || {
            let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
            let read = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children"));
            tasks.flatten().map(|task| read(task).unwrap_or_default()).collect::<String>()
        };
        let is_guard = |child: &str| {
            std::fs::read_to_string(format!("/proc/{child}/cmdline"))
                .is_ok_and(|line| line.contains("as-guard"))
        };
        let guard = || children().split_whitespace().find(|child| is_guard(child)).map(str::to_owned);
        let guard = until(guard, Option::is_some, "a guard").unwrap();
        Pid::from_raw(guard.parse().unwrap())
    }
}

#[test]
fn a_guard_resigns_and_lets_go_for_a_daemon_that_has_not() {
    match std::env::args().next_back().as_deref() {
        Some("as-guard") => assert_eq!(guard::main(), std::process::ExitCode::SUCCESS),
        Some("as-daemon") => daemon(),
        _ => {
            test("SIGKILL", |daemon| daemon.kill().unwrap());
            test("the dropped keeper", |daemon| {
                daemon.stdin.as_mut().unwrap().write_all(b"drop it\n").unwrap()
            });
        }
    }
}

fn test(what: &str, fail: impl FnOnce(&mut Child)) {
    let [host, peer] = Host::pair();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments("as-daemon")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut daemon = Daemon(host.run(move || command.spawn()).unwrap());
    let mut said = BufReader::new(daemon.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut says = |words: &str| assert!(said.any(|line| line.contains(words)), "the daemon says: {words}");
    let is_there = || host.ip("-o address show").contains("10.0.0.100");
    until(is_there, |there| *there, "the address");
    until(|| tables(&host), |tables| tables.contains("tidegate"), "the table of the one that stands by");

    kill(daemon.guard(), Signal::SIGKILL).unwrap();
    says("nothing would take the addresses off");
    says("a guard takes the addresses off");
    // The service manager's signal to all.
    kill(daemon.guard(), Signal::SIGTERM).unwrap();

    let index = peer.index("eth0");
    let listener = peer.run(move || Listener::open(Family::Ipv4, index)).unwrap();
    let start = clock::now();
    fail(&mut daemon.0);
    let mut buffer = Buffer::new();
    let mut heard =
        || listener.receive(&mut buffer).unwrap().map(|packet| (packet.source, packet.message.to_vec()));
    let (source, message) = until(&mut heard, Option::is_some, "a resignation").unwrap();
    println!("from {what} to the resignation: {:?}", clock::now() - start);
    assert_eq!((source.to_string().as_str(), message[1], message[2]), ("10.0.0.1", 7, 0));
    until(is_there, |there| !there, "no address");
    println!("to the address gone: {:?}", clock::now() - start);
    until(|| host.ip("link show"), |links| !links.contains("vrrp4"), "no macvlan");
    until(|| tables(&host), |tables| !tables.contains("tidegate"), "no table");
    assert!(!host.ip("rule show").contains("10.1.0.0/16"));
}

fn daemon() {
    let program = std::env::current_exe().unwrap();
    let guard = Program { path: program, arguments: arguments("as-guard").map(Into::into).to_vec() };
    let settings = Settings { inbox: Inbox::new().unwrap(), guard: Some(guard) };
    let (keeper, orders, mut reports) = Keeper::start(settings).unwrap();
    let from = Some(("10.1.0.0".parse().unwrap(), 16));
    let (to, input, fwmark) = (None, None, None);
    let rules = vec![Rule { ipv6: false, from, to, input, fwmark, table: 1000, priority: 100 }];
    let standing_by =
        Holding { virtual_mac: true, router_id: 52, accept: false, ..holding(&["10.0.0.200/24"]) };
    let holding = Holding { virtual_mac: true, rules, ..holding(&["10.0.0.100/24"]) };
    keeper.configure(Setup {
        config: Config { routers: vec![Arc::new(router(Family::Ipv4, 150))] },
        holdings: BTreeMap::from([(front(), Arc::new(holding)), ("back".into(), Arc::new(standing_by))]),
        watched: BTreeSet::new(),
    });
    orders.hold(&front());
    let dropped = std::thread::spawn(|| {
        let _asked = stdin().lines().next();
        drop(keeper);
        // Not gone itself, so that this cannot be what the guard has seen.
        stdin().lines().count();
    });
    while let Some(report) = reports.blocking_recv() {
        println!("{report}");
    }
    dropped.join().unwrap();
}
