//! The demonstration, run by an ordinary user as the README says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tidegate_integration::client;
use tidegate_integration::clock::wait_for;
use tidegate_integration::director::program;

const PATIENCE: Duration = Duration::from_secs(20);

struct Demo {
    folder: tempfile::TempDir,
    program: PathBuf,
    processes: Vec<Child>,
}

impl Demo {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        // Where it was built an ordinary user may have no access.
        let copy = folder.path().join("tidegate");
        std::fs::copy(program(), &copy).unwrap();
        let mut demo = Self { folder, program: copy, processes: Vec::new() };
        demo.spawn(&["demo"]);
        wait_for("all real servers to be up", PATIENCE, || {
            demo.try_status()
                .filter(|it| servers(it).iter().all(|server| server["state"] == "up"))
                .map(|_| ())
        });
        demo
    }

    /// Runs the program as an ordinary user, also when the test is root.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        command.args(words).current_dir(self.folder.path()).env("TMPDIR", self.folder.path());
        command
    }

    fn spawn(&mut self, words: &[&str]) {
        let output = File::options().create(true).append(true).open(self.output()).unwrap();
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        self.processes
            .push(command.spawn().expect("setpriv (Debian package util-linux) or the program runs"));
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    fn try_status(&self) -> Option<Value> {
        let text = std::fs::read_to_string(self.output()).unwrap();
        let socket = text.lines().find_map(|line| line.split_once("tidegate status --socket "))?.1;
        let output = self.command(&["status", "--json", "--socket", socket]).output().unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    fn server(&self, port: u16) -> Value {
        let status = self.try_status().expect("a status");
        let address = format!("127.0.0.1:{port}");
        servers(&status).iter().find(|it| it["address"] == *address).expect("a real server").clone()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.output()).unwrap_or_default());
        }
        for process in &mut self.processes {
            let _ended = Command::new("kill").arg(process.id().to_string()).status();
            let _ended = process.wait();
        }
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

fn servers(status: &Value) -> &Vec<Value> {
    status["virtual_servers"][0]["real_servers"].as_array().unwrap()
}

fn ask() -> String {
    client::get(SocketAddr::from(([127, 0, 0, 1], 8080)), "/").expect("no request fails")
}

fn tally(requests: usize) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for _ in 0..requests {
        *tally.entry(ask()).or_default() += 1;
    }
    tally
}

/// The process that the demonstration says to kill.
fn first_server(output: &Path) -> String {
    let text = std::fs::read_to_string(output).unwrap();
    let line = text.lines().find(|line| line.contains("one server dies")).expect("the instructions");
    line.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn three_servers_share_the_traffic_and_one_may_die() {
    let mut demo = Demo::start();

    let shares = tally(300);
    for (port, share) in [(18081, 150), (18082, 100), (18083, 50)] {
        let got = shares.get(&format!("real server 127.0.0.1:{port}\n")).copied().unwrap_or(0);
        assert!((share * 9 / 10..=share * 11 / 10).contains(&got), "{port}: {got} of 300, expected {share}");
    }

    let pid = first_server(&demo.output());
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    wait_for("the port to be closed", PATIENCE, || {
        client::get(SocketAddr::from(([127, 0, 0, 1], 18081)), "/").is_err().then_some(())
    });
    // Before the check has noticed, and it is clear that the server is not merely full, a refused connect is tried
    // elsewhere; afterwards the server is not asked at all.
    wait_for("the check to notice", PATIENCE, || {
        ask();
        (demo.server(18081)["weight"] == 0).then_some(())
    });
    let failures = demo.server(18081)["connect_failures"].as_u64().unwrap();
    let shares = tally(100);
    assert_eq!(shares.keys().filter(|server| server.contains("18081")).count(), 0);
    let dead = demo.server(18081);
    assert_eq!(dead["connect_failures"].as_u64().unwrap(), failures, "a dead server is left alone");
    assert_eq!(dead["weight"], 0);
    assert!(dead["reason"].as_str().unwrap().contains("refused"), "{dead:#}");

    demo.spawn(&["demo-server", "127.0.0.1:18081"]);
    let first = wait_for("the server to come back", PATIENCE, || {
        Some(demo.server(18081)).filter(|it| it["state"] == "up").and_then(|it| it["weight"].as_u64())
    });
    assert!((1..30).contains(&first), "the weight ramps and so starts below 30: {first}");
    let mut before = first;
    wait_for("the whole weight", PATIENCE, || {
        ask();
        let weight = demo.server(18081)["weight"].as_u64().unwrap();
        assert!(weight >= before, "a ramp only rises: {before}, then {weight}");
        before = weight;
        (weight == 30).then_some(())
    });
}
