//! A real keepalived, with all of its files in a folder of its own.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::clock::now;

/// A running keepalived in the network namespace of the caller; stopped in order when dropped.
#[derive(Debug)]
pub struct Keepalived {
    folder: TempDir,
    process: Child,
}

impl Keepalived {
    /// Its checkers only, which log to the caller's standard error.
    pub fn checkers(configuration: &str) -> Self {
        Self::checkers_with_log(configuration, Stdio::inherit())
    }

    /// Its checkers only, with another place for their log.
    pub fn checkers_with_log(configuration: &str, log: impl Into<Stdio>) -> Self {
        Self::start(folder(), "--check", configuration, log.into())
    }

    /// Its virtual routers only.
    pub fn vrrp(configuration: &str) -> Self {
        let folder = folder();
        let log = File::create(folder.path().join("log")).expect("log");
        Self::start(folder, "--vrrp", configuration, log.into())
    }

    fn start(folder: TempDir, part: &str, configuration: &str, log: Stdio) -> Self {
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("keepalived.conf"), configuration).expect("configuration");
        let process = Command::new("keepalived")
            .args(["--dont-fork", "--log-console", "--no-syslog", part])
            .arg("--use-file")
            .arg(path("keepalived.conf"))
            .arg("--pid")
            .arg(path("pid"))
            .arg("--checkers_pid")
            .arg(path("checkers.pid"))
            .arg("--vrrp_pid")
            .arg(path("vrrp.pid"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("keepalived runs (Debian package keepalived)");
        Self { folder, process }
    }

    /// Replaces the configuration and tells keepalived to load it: then.
    pub fn reload(&self, configuration: &str) -> Instant {
        std::fs::write(self.path("keepalived.conf"), configuration).expect("configuration");
        let told = now();
        self.signal(Signal::HUP).expect("keepalived still runs");
        told
    }

    /// The process that does the checks and fills the kernel's table.
    pub fn checkers_pid(&self) -> u32 {
        let pid = std::fs::read_to_string(self.path("checkers.pid")).expect("keepalived's checkers");
        pid.trim().parse().expect("a number")
    }

    /// What its virtual routers have logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path("log")).expect("log")).into_owned()
    }

    /// Tells it to stop in order.
    pub fn terminate(&self) {
        self.signal(Signal::TERM).expect("keepalived still runs");
    }

    fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        kill_process(Pid::from_child(&self.process), signal)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("keepalived-").tempdir().expect("a folder")
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        if std::thread::panicking() && self.path("log").exists() {
            eprintln!("keepalived's log:\n{}", self.log());
        }
        // Ordered, so that what it does in processes of its own ends with it and clears the kernel's table, or gives
        // its addresses up.
        let _ended_already = self.signal(Signal::TERM);
        let _reaped_already = self.process.wait();
    }
}
