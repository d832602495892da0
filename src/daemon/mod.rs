//! The running director.
//!
//! ```text
//!   checks ──observations──► ┌────────────┐ ──desired table──► dataplane's thread
//!   signals ───────────────► │ event loop │ ◄──reports──────── (observe, plan, apply)
//!   control connections ───► │            │ ──probes─────────► check runner
//!   loader (SIGHUP) ───────► └────────────┘ ──events─────────► log
//! ```
//!
//! The event loop reads the clock once a turn, gives the engine what happened and passes on what it decided. It
//! waits for nobody: files are read, dataplanes are written and status is rendered elsewhere.

mod event_loop;
mod events;
mod flood;
mod loader;
mod logging;
mod notify;
mod runners;
mod sampler;
mod silence;
mod snapshot;
mod state_file;

use std::num::NonZero;
use std::path::{Path, PathBuf};

use tidegate_proxy::Proxy;

use crate::config::{self, DataplaneKind, Mistakes};
use crate::control::{self, SocketError};
use crate::dataplane::{Dataplane, IpvsDataplane, Leading, ProxyDataplane};
use crate::failover;
use crate::memory;
use event_loop::EventLoop;

// A large answer does not hold up a small one.
const CONTROL_THREADS: usize = 2;

/// Why the director did not start, or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration has mistakes.
    #[error(transparent)]
    Configuration(#[from] Mistakes),
    /// The control socket cannot be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The proxy cannot start.
    #[error("the proxy cannot start")]
    Proxy(#[from] tidegate_proxy::StartError),
    /// The virtual routers cannot run.
    #[error(transparent)]
    VirtualRouters(#[from] failover::StartError),
    /// The system gives no thread, timer or signal handler.
    #[error("the director cannot start")]
    System(#[from] std::io::Error),
    /// A part ended that never should; the process must be started anew.
    #[error("{0} has ended unexpectedly; the director stops so that it is started anew")]
    Lost(&'static str),
}

/// Runs the director with the configuration in `file` until it is told to stop.
///
/// To be called while the process has one thread.
pub fn run(file: &Path) -> Result<(), RunError> {
    memory::keep_nothing_large();
    let file = absolute(file);
    let mut loader = config::Loader::default();
    let model = loader.load(&file)?;
    let director = &model.director;
    let (socket, _file) = control::bind(&director.control_socket, director.control_group.as_deref())?;
    let _log = logging::start(&director.log);
    let threads = director.proxy_threads.and_then(|threads| NonZero::new(usize::from(threads)));
    let proxy = Proxy::start(tidegate_proxy::Settings { threads, max_connections: None })?;
    let threads = |name: &str| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.enable_all().thread_name(name);
        builder
    };
    // Apart from the rest: an answer about all of a large configuration takes longer than a check may wait.
    let checks = threads("checks").build()?;
    let runtime = threads("control").worker_threads(CONTROL_THREADS).build()?;
    let leading = Leading::default();
    let dataplanes: Vec<(_, Box<dyn Dataplane>)> = vec![
        (DataplaneKind::Proxy, Box::new(ProxyDataplane::new(proxy))),
        (DataplaneKind::Ipvs, Box::new(IpvsDataplane::new(director.ipvs.clone(), leading.clone()))),
    ];
    let result = runtime.block_on(async {
        EventLoop::start(file, loader, model, dataplanes, leading, socket, checks.handle())?.run().await
    });
    checks.shutdown_background();
    runtime.shutdown_background();
    result
}

// The working directory may go away; a relative path must mean the same at every reload.
fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}
