//! What happens, told to everybody who listens: one JSON object a line.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};

use crate::clock;

// What a listener may be behind before it loses some.
const WAITING: usize = 4096;

/// An event and when it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dated {
    /// In UTC, as in RFC 3339: `2026-01-31T12:00:00.000Z`.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A virtual router changed its state.
    VirtualRouter {
        /// Its name.
        virtual_router: Arc<str>,
        /// `initialize`, `backup`, `active` or `resigning`.
        from: String,
        /// The same.
        to: String,
        /// Why.
        reason: String,
    },
    /// A real server is healthy, or is not any more.
    RealServer {
        /// Of this virtual server.
        virtual_server: Arc<str>,
        /// Its address.
        real_server: SocketAddr,
        /// Healthy now?
        healthy: bool,
        /// In service all the same?
        kept: bool,
        /// Which check decided.
        check: Arc<str>,
        /// Why.
        reason: String,
    },
    /// A check has asked for another weight.
    Weight {
        /// Of this virtual server.
        virtual_server: Arc<str>,
        /// Its address.
        real_server: SocketAddr,
        /// Which check.
        check: Arc<str>,
        /// Until now.
        before: u32,
        /// From now on, while the server is healthy.
        weight: u32,
    },
    /// A virtual server's quorum was gained or lost.
    Quorum {
        /// Its name.
        virtual_server: Arc<str>,
        /// Held now?
        held: bool,
        /// The weights of the healthy servers together.
        sum: u64,
    },
    /// The overload protection did something about a real server.
    Overload {
        /// Of this virtual server.
        virtual_server: Arc<str>,
        /// Its address.
        real_server: SocketAddr,
        /// What, and why.
        what: String,
    },
    /// An operator's command was carried out.
    Operator {
        /// On this virtual server.
        virtual_server: Arc<str>,
        /// And this real server.
        real_server: SocketAddr,
        /// What was done.
        what: String,
    },
    /// The configuration was reloaded, or was not.
    Reload {
        /// Counts the configurations that were applied.
        generation: u64,
        /// Why it was not.
        error: Option<String>,
    },
    /// This listener was too slow.
    Lost {
        /// So many events were not told.
        events: u64,
    },
}

/// Where events are told, and heard; the room for those that wait is made for the first who listens.
#[derive(Debug, Clone, Default)]
pub struct Feed(Arc<OnceLock<Sender<Bytes>>>);

impl Feed {
    /// Tells everybody who listens; waits for nobody, and makes nothing of the event while nobody does.
    pub fn tell(&self, event: impl Into<Event>) {
        if let Some(sender) = self.0.get().filter(|it| it.receiver_count() > 0) {
            // Nobody may be left by now.
            let (Ok(_) | Err(_)) = sender.send(line(event.into()));
        }
    }

    /// All that happens from now on, as the body of an answer that does not end.
    pub(super) fn listen(&self) -> axum::body::Body {
        let heard = self.0.get_or_init(|| channel(WAITING).0).subscribe();
        let frames = futures_util::stream::unfold(heard, |mut heard| async move {
            Some((Ok::<_, std::convert::Infallible>(Frame::data(next(&mut heard).await?)), heard))
        });
        axum::body::Body::new(StreamBody::new(frames))
    }
}

async fn next(heard: &mut Receiver<Bytes>) -> Option<Bytes> {
    match heard.recv().await {
        Ok(line) => Some(line),
        Err(RecvError::Lagged(events)) => Some(line(Event::Lost { events })),
        Err(RecvError::Closed) => None,
    }
}

fn line(event: Event) -> Bytes {
    let time = humantime::format_rfc3339_millis(clock::wall()).to_string();
    let mut line = serde_json::to_vec(&Dated { time, event }).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

impl From<&tidegate_engine::Event> for Event {
    fn from(event: &tidegate_engine::Event) -> Self {
        match event.clone() {
            tidegate_engine::Event::Health { virtual_server, real_server, healthy, kept, check, reason } => {
                Self::RealServer { virtual_server, real_server, healthy, kept, check, reason }
            }
            tidegate_engine::Event::Weight { virtual_server, real_server, check, before, weight } => {
                Self::Weight { virtual_server, real_server, check, before, weight }
            }
            tidegate_engine::Event::Quorum { virtual_server, held, sum, .. } => {
                Self::Quorum { virtual_server, held, sum }
            }
            tidegate_engine::Event::Overload { virtual_server, real_server, what } => {
                Self::Overload { virtual_server, real_server, what: what.to_owned() }
            }
            tidegate_engine::Event::Operator { virtual_server, real_server, what } => {
                Self::Operator { virtual_server, real_server, what }
            }
        }
    }
}

/// For people.
impl std::fmt::Display for Dated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}  ", self.time)?;
        match &self.event {
            Event::VirtualRouter { virtual_router, from, to, reason } => {
                write!(f, "virtual router {virtual_router}: {from} -> {to}: {reason}")
            }
            Event::RealServer { virtual_server, real_server, healthy, kept, check, reason } => {
                let state = match (healthy, kept) {
                    (true, _) => "up",
                    (false, true) => "down, and stays in service",
                    (false, false) => "down",
                };
                write!(f, "{virtual_server}: real server {real_server} is {state}: {check}: {reason}")
            }
            Event::Weight { virtual_server, real_server, check, before, weight } => {
                write!(
                    f,
                    "{virtual_server}: {check} asks for weight {weight} in place of {before} for {real_server}"
                )
            }
            Event::Quorum { virtual_server, held, sum } => {
                let what = if *held { "gained" } else { "lost" };
                write!(f, "{virtual_server}: quorum {what}, sum of weights {sum}")
            }
            Event::Overload { virtual_server, real_server, what } => {
                write!(f, "{virtual_server}: real server {real_server} {what}")
            }
            Event::Operator { virtual_server, real_server, what } => {
                write!(f, "{virtual_server}: real server {real_server}: {what} by an operator")
            }
            Event::Reload { generation, error: None } => write!(f, "configuration {generation} is in force"),
            Event::Reload { generation, error: Some(error) } => {
                write!(f, "configuration not reloaded, {generation} stays in force: {error}")
            }
            Event::Lost { events } => write!(f, "{events} events were lost: this reader was too slow"),
        }
    }
}
