//! Debian's own servers, each started by hand on loopback with all of its files in a directory of its own.

use std::fs::{File, Permissions};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::clock::wait_for;

/// A running server and whatever it has started. All of it ends when this is dropped.
#[derive(Debug)]
pub struct Peer {
    process: Child,
    directory: TempDir,
}

/// A directory that a server can use whatever user it becomes.
///
/// # Panics
///
/// When there can be none.
pub fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::set_permissions(&directory, Permissions::from_mode(0o755)).expect("its permissions");
    directory
}

impl Peer {
    /// Starts `program` of the Debian package `package` in `directory` and waits until `ready` takes connections.
    ///
    /// # Panics
    ///
    /// When it is not installed, ends, or is not ready within twenty seconds.
    pub fn start(
        package: &str,
        program: &str,
        arguments: &[&str],
        directory: TempDir,
        ready: SocketAddr,
    ) -> Self {
        Self::start_until(package, program, arguments, directory, || TcpStream::connect(ready).is_ok())
    }

    /// The same for one that is ready when `ready` says so.
    ///
    /// # Panics
    ///
    /// As [`Peer::start`] does.
    pub fn start_until(
        package: &str,
        program: &str,
        arguments: &[&str],
        directory: TempDir,
        mut ready: impl FnMut() -> bool,
    ) -> Self {
        let output = File::create(directory.path().join("output")).expect("a file for the output");
        let process = Command::new(program)
            .args(arguments)
            .current_dir(&directory)
            .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file for the output"))
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {program} ({error}): install {package}"));
        let mut peer = Self { process, directory };
        wait_for(program, Duration::from_secs(20), || {
            if let Ok(Some(status)) = peer.process.try_wait() {
                panic!("{program} ended with {status}: {}", peer.output());
            }
            ready().then_some(())
        });
        peer
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it has said so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.directory().join("output")).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let group = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        // Those that keep others in sessions of their own need the chance to end them.
        for signal in [Signal::TERM, Signal::KILL] {
            if let Some(group) = group {
                // Fails only when all of it has ended.
                let _ = kill_process_group(group, signal);
            }
            for _ in 0..100 {
                if !matches!(self.process.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
