//! The control socket: HTTP/1.1 and JSON over a unix socket.
//!
//! A connection's own task reads the request and renders the answer; the event loop only hands out values. What
//! comes in is bounded in size, number and time.

mod client;
mod routes;
mod server;
mod socket;
pub mod status;

pub use client::{Client, ClientError};
pub use routes::{AddressedServer, Failure, WeightChange};
pub use server::serve;
pub use socket::{SocketError, SocketFile, bind};

use tokio::sync::oneshot;

use crate::plan::Description;
use status::Status;

/// What a connection asks the event loop.
#[derive(Debug)]
pub enum Request {
    /// What is; the numbers of the dataplane are still missing in it.
    Status(oneshot::Sender<Status>),
    /// Which configuration runs.
    Configuration(oneshot::Sender<Description>),
    /// An operator's command; the answer says what was done, or why not.
    Command(tidegate_engine::Command, oneshot::Sender<Result<String, String>>),
}
