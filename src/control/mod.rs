//! The control socket: HTTP/1.1 and JSON over a unix socket.
//!
//! A connection's own task reads the request and renders the answer; the event loop only hands out values. What
//! comes in is bounded in size, number and time.

mod client;
mod feed;
mod routes;
mod server;
mod socket;
pub mod status;

pub use client::{Client, ClientError};
pub use feed::{Dated, Event, Feed};
pub use routes::{AddressedServer, Failure, NamedRouter, WeightChange};
pub use server::serve;
pub use socket::{SocketError, SocketFile, bind};

use std::sync::Arc;

use tidegate_vrrp::io::Vrrp;
use tokio::sync::oneshot;

use crate::plan::Description;
use status::Status;

/// What a connection asks the event loop.
pub enum Request {
    /// What is; the numbers of the dataplane and of the virtual routers are still missing in it.
    Status(oneshot::Sender<(Status, Option<Arc<Vrrp>>)>),
    /// Who runs the virtual routers; none: there are none.
    Failover(oneshot::Sender<Option<Arc<Vrrp>>>),
    /// Which configuration runs.
    Configuration(oneshot::Sender<Description>),
    /// An operator's command; the answer says what was done, or why not.
    Command(tidegate_engine::Command, oneshot::Sender<Result<String, String>>),
}
