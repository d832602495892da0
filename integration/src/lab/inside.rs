//! What scenarios use inside of the lab.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::clock::now;

/// Runs a program and gives what it printed; panics if it fails.
pub fn output_of(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {} {stderr}", words.join(" "), output.status);
    String::from_utf8(output.stdout).expect("output in UTF-8")
}

/// Keeps the kernel from telling the console, which is slow, of everybody whom IPVS refuses.
pub fn quiet() {
    output_of("dmesg", &["--console-level", "crit"]);
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
