//! The lab: a Linux kernel with IPVS, as ordinary processes (User-Mode Linux), with the host's files as its own.
//!
//! A test hands its scenario to [`run`]. On the host that boots a kernel in which the same test executable is started
//! for the same test; there `run` calls the scenario. So a scenario is Rust with all of this crate's helpers, and what
//! it panics with is printed and fails the test.
//!
//! In the lab everything may be written and nothing of it stays: the host's files are read only below a layer in
//! memory. `/run`, `/dev/shm` and `TMPDIR` are empty. The kernel loads modules by itself when a program asks for
//! what they do. There is one CPU; a fork with exec takes about 30 ms, a system call about 15 µs. Nothing leads to the
//! host or out of it: no network, no input, and the console as the only output.

mod boot;
mod inside;

use std::fmt;
use std::path::Path;
use std::time::Duration;

pub use inside::{ipvsadm, ipvsadm_save, output_of, quiet, timed};

use crate::director::{PROGRAM, program};

/// Set in the lab, to the mark of this boot's result lines.
const MARK: &str = "TIDEGATE_LAB";

/// How to boot.
#[derive(Debug, Clone)]
pub struct Lab {
    memory: u32,
    deadline: Duration,
    program: bool,
    environment: Vec<(String, String)>,
}

impl Default for Lab {
    fn default() -> Self {
        Self { memory: 512, deadline: Duration::from_secs(120), program: false, environment: Vec::new() }
    }
}

/// Why a scenario did not pass.
#[derive(Debug)]
pub struct Failure {
    /// In a sentence.
    pub reason: String,
    /// What the lab printed, with the text of a panic.
    pub console: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; the lab's console:\n{}", self.reason, self.console)
    }
}

/// Whether this is the lab.
pub fn in_lab() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs a scenario in a lab as it is by default; see [`Lab::run`].
pub fn run(scenario: impl FnOnce()) {
    Lab::default().run(scenario);
}

impl Lab {
    /// The kernel's memory in MiB, 512 unless told; half of it is for files. The host gives it as it is touched.
    pub fn with_memory(mut self, mebibytes: u32) -> Self {
        self.memory = mebibytes;
        self
    }

    /// The time for everything from the boot to the end, 120 s unless told. What is not done by then is killed.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Build the program before the boot, for scenarios that start a [`Director`](crate::director::Director).
    pub fn with_program(mut self) -> Self {
        self.program = true;
        self
    }

    /// Set a variable of the scenario's environment.
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs the scenario in the lab; panics if it did not pass. Call it once in a test, with a closure written in the
    /// test's own function: the closure's type tells the test's name.
    pub fn run<S: FnOnce()>(self, scenario: S) {
        if let Err(Failure { reason, .. }) = self.try_run(scenario) {
            panic!("{reason} (its console is above)");
        }
    }

    /// As [`Lab::run`] does, but gives the console, or the failure.
    pub fn try_run<S: FnOnce()>(self, scenario: S) -> Result<String, Failure> {
        if let Ok(mark) = std::env::var(MARK) {
            scenario();
            println!("\n{mark}: passed");
            return Ok(String::new());
        }
        let folder = tempfile::Builder::new().prefix("tidegate-lab-").tempdir().expect("a folder");
        let mark = folder.path().file_name().expect("a name").to_string_lossy().into_owned();
        let init = self.init(&mark, test_of::<S>());
        let (console, ended) = boot::boot(folder.path(), &init, self.memory, self.deadline);
        let said = |what: &str| console.lines().any(|line| line.contains(&format!("{mark}: {what}")));
        let reason = match ended {
            boot::End::Deadline => format!("the lab was not done after {:?}", self.deadline),
            boot::End::KernelPanic => "the lab's kernel panicked".to_owned(),
            boot::End::Off if said("passed") && said("ended 0") => return Ok(console),
            boot::End::Off if said("ended") => "the scenario failed in the lab".to_owned(),
            boot::End::Off => {
                "the lab did not start (it needs the Debian package user-mode-linux)".to_owned()
            }
        };
        Err(Failure { reason, console })
    }

    fn init(&self, mark: &str, test: &str) -> String {
        let mut init = format!("#!/bin/sh\nexport {MARK}={}\n", quoted(mark));
        let mut set = |name: &str, value: &str| init += &format!("{name}={}\n", quoted(value));
        let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        set("lab_test", test);
        set("lab_executable", &path(&std::env::current_exe().expect("the test's own path")));
        set("lab_folder", &path(&std::env::current_dir().expect("the current folder")));
        if self.program {
            set(&format!("export {PROGRAM}"), &path(program()));
        }
        for (name, value) in &self.environment {
            set(&format!("export {name}"), value);
        }
        for name in ["RUST_BACKTRACE", "RUST_LOG"] {
            if let Ok(value) = std::env::var(name) {
                set(&format!("export {name}"), &value);
            }
        }
        init + include_str!("../lab/init")
    }
}

/// The name by which the test executable knows the function that a closure was written in.
fn test_of<S>() -> &'static str {
    let name = std::any::type_name::<S>();
    let inner = name.split_once("::").map_or(name, |(_executable, inner)| inner);
    inner.split("::{{closure}}").next().unwrap_or(inner)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
