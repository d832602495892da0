//! A running director: the program as it was just built, with a configuration in a folder of its own.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::clock::wait_for;

const PATIENCE: Duration = Duration::from_secs(20);
/// How the names of those variables begin that tell of a package.
const PACKAGE: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// Names the program where it cannot be built, as in the lab.
pub const PROGRAM: &str = "TIDEGATE_PROGRAM";

/// The program, built from the present sources with the profile of the test unless [`PROGRAM`] names it.
pub fn program() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(built) = std::env::var_os(PROGRAM) {
            return built.into();
        }
        // target/PROFILE/deps/TEST-HASH
        let test = std::env::current_exe().expect("the test's own path");
        let profile = test.ancestors().nth(2).expect("the profile's folder");
        let target = profile.parent().expect("the target folder");
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--package", "tidegate", "--bin", "tidegate", "--target-dir"])
            .arg(target);
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        // What cargo tells the test about the test's package would have dependencies built anew that look at it.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| PACKAGE.iter().any(|prefix| name.starts_with(prefix))) {
                build.env_remove(name);
            }
        }
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the program does not build");
        profile.join("tidegate")
    })
}

/// A running director, killed when dropped.
pub struct Director {
    folder: TempDir,
    process: Child,
}

/// How to start a director.
#[derive(Debug, Default)]
pub struct Launch {
    command: Vec<String>,
    environment: Vec<(String, String)>,
    director: String,
}

impl Launch {
    /// Put these words before the program: `ip netns exec NAME`.
    pub fn through(mut self, words: &[&str]) -> Self {
        self.command.extend(words.iter().map(|&word| word.to_owned()));
        self
    }

    /// Set a variable of the environment.
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Add lines to the section `[director]`.
    pub fn with_director(mut self, lines: &str) -> Self {
        self.director.push_str(lines);
        self.director.push('\n');
        self
    }

    /// Starts it with this configuration, which must have no section `[director]`, and waits until it answers.
    pub fn start(self, configuration: &str) -> Director {
        let mut director = self.spawn(configuration);
        wait_for("the director to answer", PATIENCE, || {
            if let Some(status) = director.process.try_wait().expect("state of the process") {
                panic!("the director ended at once, {status}:\n{}", director.log());
            }
            director.try_status()
        });
        director
    }

    /// As [`Launch::start`] does, but waits for nothing.
    pub fn spawn(self, configuration: &str) -> Director {
        let folder = tempfile::Builder::new().prefix("tidegate-").tempdir().expect("a folder");
        // A director that runs as somebody else must get in.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))
            .expect("open the folder");
        let head = format!(
            "[director]\nid = \"test\"\ncontrol_socket = \"{}\"\n{}\n",
            folder.path().join("control.sock").display(),
            self.director
        );
        std::fs::write(folder.path().join("director.toml"), head.clone() + configuration)
            .expect("configuration");
        std::fs::write(folder.path().join("head"), head).expect("head");
        let log = File::create(folder.path().join("log")).expect("log");
        let mut words = self.command;
        words.push(program().display().to_string());
        let process = Command::new(&words[0])
            .args(&words[1..])
            .arg("run")
            .arg(folder.path().join("director.toml"))
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log"))
            .stderr(log)
            .spawn()
            .expect("the director starts");
        Director { folder, process }
    }
}

impl Director {
    /// Starts one with this configuration; see [`Launch::start`].
    pub fn start(configuration: &str) -> Self {
        Launch::default().start(configuration)
    }

    /// The folder of its configuration and its socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.folder().join("control.sock")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Replaces the configuration (but not the section `[director]`) at once as a whole, without a reload.
    pub fn write(&self, configuration: &str) {
        let head = std::fs::read_to_string(self.folder().join("head")).expect("head");
        self.write_raw(&(head + configuration));
    }

    /// Replaces the whole file.
    pub fn write_raw(&self, text: &str) {
        let new = self.folder().join("director.toml.new");
        std::fs::write(&new, text).expect("write");
        std::fs::rename(new, self.folder().join("director.toml")).expect("rename");
    }

    /// Replaces the configuration and waits until it is in force.
    pub fn reload(&self, configuration: &str) {
        let before = self.generation();
        self.write(configuration);
        self.signal("HUP");
        wait_for("the reload", PATIENCE, || (self.generation() > before).then_some(()));
    }

    /// Counts the configurations that were applied.
    pub fn generation(&self) -> u64 {
        self.status()["director"]["configuration"]["generation"].as_u64().expect("a generation")
    }

    /// Sends a signal: `HUP`, `TERM`, …
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Its status as JSON.
    pub fn status(&self) -> Value {
        self.try_status().unwrap_or_else(|| panic!("no status:\n{}", self.log()))
    }

    fn try_status(&self) -> Option<Value> {
        let output = self.command(&["status", "--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    /// One virtual server of the status.
    pub fn virtual_server(&self, name: &str) -> Value {
        entry(&self.status()["virtual_servers"], "name", name)
    }

    /// One real server of the status.
    pub fn real_server(&self, virtual_server: &str, address: &str) -> Value {
        entry(&self.virtual_server(virtual_server)["real_servers"], "address", address)
    }

    /// One virtual router of the status.
    pub fn virtual_router(&self, name: &str) -> Value {
        entry(&self.status()["virtual_routers"], "name", name)
    }

    /// Waits until a real server is in this state.
    pub fn wait_for_state(&self, virtual_server: &str, address: &str, state: &str) {
        wait_for(&format!("{virtual_server} {address} to be {state}"), PATIENCE, || {
            (self.real_server(virtual_server, address)["state"] == state).then_some(())
        });
    }

    /// Runs `tidegate` with these words and this director's socket.
    pub fn command(&self, words: &[&str]) -> Output {
        let mut command = Command::new(program());
        command.args(words).arg("--socket").arg(self.socket());
        command.output().expect("tidegate runs")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder().join("log")).expect("log")).into_owned()
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        wait_for("the director to end", limit, || self.process.try_wait().expect("state of the process"))
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        resident(self.pid())
    }
}

/// Resident memory of a process in bytes.
pub fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("/proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).expect("a number")
        * 1024
}

fn entry(list: &Value, key: &str, value: &str) -> Value {
    let found = list.as_array().and_then(|list| list.iter().find(|it| it[key] == value));
    found.unwrap_or_else(|| panic!("no {key} {value} in {list:#}")).clone()
}

impl Drop for Director {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let ended = self.process.wait();
        if std::thread::panicking() {
            let signal = ended.ok().and_then(|status| status.signal());
            eprintln!("the director's log (ended by signal {signal:?}):\n{}", self.log());
        }
    }
}
