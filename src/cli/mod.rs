//! The command line.

mod render;
mod simulate;
mod units;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use serde::Deserialize;

use crate::config::{self, Mistakes};
use crate::control::status::Status;
use crate::control::{AddressedServer, Client, Dated, NamedRouter, WeightChange};
use crate::daemon::{self, RunError};
use crate::demo;
use crate::plan::Description;

/// A configuration with mistakes, as well as a command line with mistakes.
const EXIT_MISTAKE: u8 = 2;

#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about = "A load balancer's director", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the director in the foreground: SIGHUP reloads, SIGTERM stops in order
    Run {
        /// The configuration
        file: PathBuf,
    },
    /// Say whether a configuration is right: exit 0, or 2 with all its mistakes
    Check {
        /// The configuration
        file: PathBuf,
    },
    /// Show every virtual server and real server, and why it stands where it does
    Status {
        /// Only these virtual servers
        names: Vec<String>,
        /// For programs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        socket: Socket,
    },
    /// Show what a reload with this file would change
    Plan {
        /// The configuration
        file: PathBuf,
        #[command(flatten)]
        socket: Socket,
    },
    /// Give a real server no new connections; those that live go on
    Drain {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        socket: Socket,
    },
    /// Take back a drain and a weight set by hand
    Enable {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        socket: Socket,
    },
    /// Set a weight in place of the configured one, until `enable` or a restart
    Weight {
        #[command(flatten)]
        server: Server,
        /// 0 to 65535
        weight: u32,
        #[command(flatten)]
        socket: Socket,
    },
    /// Show what would happen to a pool when load rises or servers fail, without touching anything
    Simulate(simulate::Simulate),
    /// Have the other director take over a virtual router or a group of them
    Failover {
        /// The router's or the group's name
        name: String,
        #[command(flatten)]
        socket: Socket,
    },
    /// Show what happens, as it happens
    Events {
        /// For programs: one object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        socket: Socket,
    },
    /// Run a director in front of three small real servers of its own, on loopback, without root
    Demo,
    /// What the director starts to let go of its addresses should it be killed
    #[command(hide = true)]
    Guard,
    /// One of the demo's real servers
    #[command(hide = true)]
    DemoServer {
        /// Where it listens
        listen: SocketAddr,
    },
}

#[derive(Debug, Args)]
struct Socket {
    /// The director's control socket
    #[arg(long, env = "TIDEGATE_SOCKET", default_value = config::CONTROL_SOCKET)]
    socket: PathBuf,
}

#[derive(Debug, Args)]
struct Server {
    /// The virtual server's name
    virtual_server: String,
    /// The real server's address: 10.1.0.2:8080
    real_server: SocketAddr,
}

/// Carries out the process's command line; mistakes go to standard error.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run { file } => return run(&file),
        Command::Check { file } => return check(&file),
        Command::Simulate(arguments) => match simulate::run(&arguments) {
            Err(simulate::Refusal::Configuration(mistakes)) => return mistaken(&mistakes),
            Err(simulate::Refusal::Other(error)) => Err(error),
            Ok(()) => Ok(()),
        },
        Command::Demo => demo::run(),
        Command::DemoServer { listen } => demo::serve(listen),
        Command::Status { names, json, socket } => ask(status(&socket.client(), &names, json)),
        Command::Plan { file, socket } => match config::load(&file) {
            Ok(model) => ask(plan(&socket.client(), &Description::of(&model))),
            Err(mistakes) => return mistaken(&mistakes),
        },
        Command::Failover { name, socket } => {
            ask(command(&socket.client(), "/v1/failover", &NamedRouter { name }))
        }
        Command::Guard => return tidegate_vrrp::io::guard::main(),
        Command::Events { json, socket } => ask(events(&socket.client(), json)),
        Command::Drain { server, socket } => ask(command(&socket.client(), "/v1/drain", &server.addressed())),
        Command::Enable { server, socket } => {
            ask(command(&socket.client(), "/v1/enable", &server.addressed()))
        }
        Command::Weight { server: Server { virtual_server, real_server }, weight, socket } => {
            let change = WeightChange { virtual_server, real_server, weight };
            ask(command(&socket.client(), "/v1/weight", &change))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("tidegate: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(file: &Path) -> ExitCode {
    match daemon::run(file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(RunError::Configuration(mistakes)) => mistaken(&mistakes),
        // It is in the log, whose reader may have stopped reading: nothing may wait for it.
        Err(RunError::Lost(_)) => ExitCode::FAILURE,
        Err(error) => {
            complain(&format!("tidegate: {:#}", anyhow::Error::from(error)));
            ExitCode::FAILURE
        }
    }
}

fn check(file: &Path) -> ExitCode {
    match config::load(file) {
        Ok(model) => {
            let real_servers: usize = model.virtual_servers.iter().map(|it| it.real_servers.len()).sum();
            let virtual_servers = model.virtual_servers.len();
            // The exit status says it as well.
            let _nobody_reads = write(&format!(
                "{}: right, {virtual_servers} virtual servers, {real_servers} real servers\n",
                file.display()
            ));
            ExitCode::SUCCESS
        }
        Err(mistakes) => mistaken(&mistakes),
    }
}

fn mistaken(mistakes: &Mistakes) -> ExitCode {
    complain(&mistakes.to_string());
    ExitCode::from(EXIT_MISTAKE)
}

/// To standard error, if anybody reads it; the exit status must be right in any case.
fn complain(text: &str) {
    let _nobody_reads = writeln!(std::io::stderr(), "{text}");
}

impl Socket {
    fn client(&self) -> Client {
        Client::new(&self.socket)
    }
}

impl Server {
    fn addressed(self) -> AddressedServer {
        AddressedServer { virtual_server: self.virtual_server, real_server: self.real_server }
    }
}

fn ask(asking: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(asking)
}

async fn status(client: &Client, names: &[String], json: bool) -> anyhow::Result<()> {
    let mut status: Status = client.get("/v1/status").await?;
    for name in names {
        let known = status.virtual_servers.iter().any(|it| it.name == *name);
        anyhow::ensure!(known, "no virtual server is named {name:?}");
    }
    if !names.is_empty() {
        status.virtual_servers.retain(|it| names.contains(&it.name));
    }
    let stdout = std::io::stdout();
    let text = if json {
        serde_json::to_string_pretty(&status)? + "\n"
    } else {
        let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        render::status(&status, colour)
    };
    write(&text)
}

async fn plan(client: &Client, new: &Description) -> anyhow::Result<()> {
    let running: Description = client.get("/v1/configuration").await?;
    let differences = running.differences(new);
    if differences.is_empty() {
        return write("a reload would change nothing\n");
    }
    write(&differences.iter().map(|it| format!("{it}\n")).collect::<String>())
}

/// Until the director ends, or whoever reads has seen enough.
async fn events(client: &Client, json: bool) -> anyhow::Result<()> {
    let mut failure = None;
    let taken = client.lines("/v1/events", |line| {
        let text = match serde_json::from_slice::<Dated>(line) {
            Ok(event) if !json => event.to_string(),
            _ => String::from_utf8_lossy(line).into_owned(),
        };
        let mut stdout = std::io::stdout();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => failure = Some(error),
            written => return written.is_ok(),
        }
        false
    });
    taken.await?;
    failure.map_or(Ok(()), |error| Err(error).context("cannot print"))
}

#[derive(Deserialize)]
struct Done {
    done: String,
}

async fn command(client: &Client, path: &str, body: &impl serde::Serialize) -> anyhow::Result<()> {
    let Done { done } = client.post(path, body).await?;
    write(&format!("{done}\n"))
}

// A reader that has seen enough (`| head`) is no failure.
fn write(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("cannot print"),
        _ => Ok(()),
    }
}
