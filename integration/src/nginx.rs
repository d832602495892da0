//! A real nginx with a configuration of the test's own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::clock::wait_for;
use crate::sockets;

/// A running nginx: one process as the user that runs the test, all of its files in a directory of its own. Killed
/// when dropped.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    directory: TempDir,
}

impl Nginx {
    /// Starts nginx with `http` inside its `http { … }` block and waits until it listens. Relative paths in it are
    /// below [`Nginx::directory`].
    ///
    /// # Panics
    ///
    /// When nginx is not installed, does not accept the configuration or does not start within ten seconds.
    pub fn start(http: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        std::fs::write(path.join("nginx.conf"), configuration(http)).expect("writing nginx.conf");
        let process = Command::new("nginx")
            .args(["-e", "error.log", "-c", "nginx.conf", "-p"])
            .arg(path)
            .env("PATH", path_with_sbin())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start nginx ({error}): install nginx (Debian: nginx-light)")
            });
        let mut nginx = Self { process, directory };
        // The file is written after the sockets have been opened.
        wait_for("nginx to start", Duration::from_secs(10), || {
            if let Ok(Some(status)) = nginx.process.try_wait() {
                let log = std::fs::read_to_string(nginx.directory().join("error.log")).unwrap_or_default();
                panic!("nginx ended with {status}: {log}");
            }
            let pid = std::fs::read(nginx.directory().join("nginx.pid")).unwrap_or_default();
            (!pid.is_empty()).then_some(())
        });
        nginx
    }

    /// Its prefix, with `error.log` in it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port of 127.0.0.1 that nobody has at the moment; see [`sockets::free_port_on`].
pub fn free_port() -> u16 {
    sockets::free_port().port()
}

fn configuration(http: &str) -> String {
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path tmp;
    proxy_temp_path tmp;
    fastcgi_temp_path tmp;
    uwsgi_temp_path tmp;
    scgi_temp_path tmp;
    {http}
}}
"
    )
}

/// nginx lies in a directory that an ordinary user's path does not have.
fn path_with_sbin() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/usr/local/sbin");
    path
}
