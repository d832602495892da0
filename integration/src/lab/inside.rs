//! What scenarios use inside of the lab.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::clock::now;

/// Does something in a network namespace, such as [`Lan::host`](crate::namespace::Lan::host). Sockets, threads and
/// programs that it starts stay there.
pub fn in_namespace<T: Send>(name: &str, action: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/run/netns/{name}")).expect("a network namespace");
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
            action()
        });
        done.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs a program and gives what it printed; panics if it fails.
pub fn output_of(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {} {stderr}", words.join(" "), output.status);
    String::from_utf8(output.stdout).expect("output in UTF-8")
}

/// Runs ipvsadm in the caller's network namespace.
pub fn ipvsadm(words: &[&str]) -> String {
    output_of("ipvsadm", words)
}

/// The kernel's table as ipvsadm reads it: `-A -t 10.0.0.1:80 -s rr`, `-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m -w 1`, …
pub fn ipvsadm_save() -> Vec<String> {
    ipvsadm(&["-Sn"]).lines().map(|line| line.trim_end().to_owned()).collect()
}

/// What an action gives, and how long it took.
pub fn timed<T>(action: impl FnOnce() -> T) -> (T, Duration) {
    let start = now();
    let result = action();
    (result, start.elapsed())
}

/// A running keepalived in the caller's network namespace, its checkers only (no VRRP); stopped when dropped.
/// It logs to the lab's console unless told.
pub struct Keepalived {
    folder: TempDir,
    process: Child,
}

impl Keepalived {
    /// With this configuration.
    pub fn start(configuration: &str) -> Self {
        Self::start_with_log(configuration, Stdio::inherit())
    }

    /// With this configuration, and with another place for its log.
    pub fn start_with_log(configuration: &str, log: impl Into<Stdio>) -> Self {
        let folder = tempfile::Builder::new().prefix("keepalived-").tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("keepalived.conf"), configuration).expect("configuration");
        let process = Command::new("keepalived")
            .args(["--dont-fork", "--log-console", "--no-syslog", "--check"])
            .arg("--use-file")
            .arg(path("keepalived.conf"))
            .arg("--pid")
            .arg(path("pid"))
            .arg("--checkers_pid")
            .arg(path("checkers.pid"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("keepalived runs (Debian package keepalived)");
        Self { folder, process }
    }

    /// Replaces the configuration and tells keepalived to load it.
    pub fn reload(&self, configuration: &str) {
        std::fs::write(self.path("keepalived.conf"), configuration).expect("configuration");
        self.signal(Signal::HUP).expect("keepalived still runs");
    }

    /// The process that does the checks and fills the kernel's table.
    pub fn checkers(&self) -> u32 {
        let pid = std::fs::read_to_string(self.path("checkers.pid")).expect("keepalived's checkers");
        pid.trim().parse().expect("a number")
    }

    fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        kill_process(Pid::from_child(&self.process), signal)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        // Ordered, so that the checkers, which are a process of their own, end with it and clear the kernel's table.
        let _ended_already = self.signal(Signal::TERM);
        let _reaped_already = self.process.wait();
    }
}
