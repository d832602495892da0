//! The demonstration: a director in front of three small real servers of its own, on loopback.

mod server;

use std::fs::DirBuilder;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::getuid;

use crate::{clock, daemon};

pub use server::serve;

const SERVERS: [u16; 3] = [18081, 18082, 18083];
const READY: Duration = Duration::from_secs(10);

const CONFIGURATION: &str = r#"# Three real servers behind 127.0.0.1:8080, in proportion 3 : 2 : 1.
[director]
id = "demo"
control_socket = "FOLDER/control.sock"
shutdown_grace = "2s"

[defaults.check]
interval = "500ms"
timeout = "400ms"

[[virtual_server]]
name = "demo"
listen = "127.0.0.1:8080"
scheduler = "wrr"
slow_start = "10s"

[virtual_server.check]
type = "http"
path = "/health"
body = "^ok"
rise = 2
fall = 2

[[virtual_server.real_server]]
address = "127.0.0.1:18081"
weight = 30

[[virtual_server.real_server]]
address = "127.0.0.1:18082"
weight = 20

[[virtual_server.real_server]]
address = "127.0.0.1:18083"
weight = 10
"#;

/// Runs it until SIGTERM or Ctrl-C.
pub fn run() -> anyhow::Result<()> {
    let folder = private_folder()?;
    let file = folder.join("demo.toml");
    let configuration = CONFIGURATION.replace("FOLDER", &folder.display().to_string());
    std::fs::write(&file, &configuration).with_context(|| format!("cannot write {}", file.display()))?;
    let servers = SERVERS.into_iter().map(RealServer::start).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(first) = servers.first() {
        explain(&configuration, &file, &folder.join("control.sock"), first);
    }
    daemon::run(&file)?;
    Ok(())
}

/// The user's own folder in the one for temporary files; nobody else can have put anything there.
fn private_folder() -> anyhow::Result<PathBuf> {
    let uid = getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("tidegate-demo-{uid}"));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make the folder {}", folder.display()));
        }
        _ => {}
    }
    let found = std::fs::symlink_metadata(&folder)?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o077 != 0 {
        bail!("{} is not a folder of this user alone; remove it", folder.display());
    }
    Ok(folder)
}

fn explain(configuration: &str, file: &Path, socket: &Path, first: &RealServer) {
    let (file, socket, pid, address) = (file.display(), socket.display(), first.process.id(), first.address);
    let program =
        std::env::current_exe().map_or_else(|_| "tidegate".into(), |path| path.display().to_string());
    println!(
        "{configuration}
This is {file}; `{program} run {file}` takes it as well.

  traffic             curl http://127.0.0.1:8080/
  status              {program} status --socket {socket}
  the same as JSON    curl --unix-socket {socket} http://tidegate/v1/status
  one server dies     kill {pid}
  and comes back      {program} demo-server {address} &
  one server hangs    kill -STOP {pid}        and goes on: kill -CONT {pid}
  drain one           {program} drain demo {address} --socket {socket}
  stop                Ctrl-C
"
    );
}

/// A real server in a process of its own, so that it can be killed; it ends with the demonstration.
struct RealServer {
    address: SocketAddr,
    process: Child,
}

impl RealServer {
    fn start(port: u16) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpStream::connect(address).is_ok() {
            bail!("something else answers on {address}, where a real server of the demonstration would be");
        }
        let program = std::env::current_exe().context("cannot find this program")?;
        let process = Command::new(program).arg("demo-server").arg(address.to_string()).spawn();
        let mut this = Self { address, process: process.context("cannot start a real server")? };
        this.wait_until_ready()?;
        Ok(this)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = clock::now() + READY;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("the real server on {} ended at once: {status}", self.address);
            }
            if clock::now() > deadline {
                bail!("the real server on {} does not listen after {} s", self.address, READY.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        let _ended_already: io::Result<()> = self.process.kill();
        let _ended: io::Result<_> = self.process.wait();
    }
}
