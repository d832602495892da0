//! What can be asked over the control socket.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/configuration` | [`Description`] |
//! | `GET /v1/events` | [`Dated`](super::Dated), one a line, as they happen |
//! | `POST /v1/drain`, `POST /v1/enable` with [`AddressedServer`] | `{"done": "…"}` |
//! | `POST /v1/failover` with [`NamedRouter`] | `{"done": "…"}` |
//! | `POST /v1/weight` with [`WeightChange`] | `{"done": "…"}` |
//!
//! Whatever goes wrong is answered with [`Failure`] and a status of 4xx or 5xx.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tidegate_engine::Command;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::status::Status;
use super::{Feed, Request};
use crate::dataplane::CounterSources;
use crate::failover;
use crate::plan::Description;

const MAX_BODY: usize = 64 * 1024;
// Of the places for connections.
const LISTENERS: usize = 8;
const DATAPLANE_DEADLINE: Duration = Duration::from_secs(2);

/// A real server of a virtual server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressedServer {
    /// The virtual server's name.
    pub virtual_server: String,
    /// The real server's address.
    pub real_server: SocketAddr,
}

/// A weight in place of the configured one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightChange {
    /// The virtual server's name.
    pub virtual_server: String,
    /// The real server's address.
    pub real_server: SocketAddr,
    /// 0 to 65,535.
    pub weight: u32,
}

/// A virtual router, or a group of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedRouter {
    /// Its name.
    pub name: String,
}

/// The answer to a command that was carried out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Done {
    /// What was done.
    pub(super) done: String,
}

/// The answer to a request that was not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// What is wrong with it.
    pub error: String,
}

#[derive(Clone)]
struct Daemon {
    requests: mpsc::Sender<Request>,
    counters: CounterSources,
    feed: Feed,
    listeners: Arc<Semaphore>,
}

pub(super) fn router(requests: mpsc::Sender<Request>, counters: CounterSources, feed: Feed) -> Router {
    let listeners = Arc::new(Semaphore::new(LISTENERS));
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/configuration", get(configuration))
        .route("/v1/events", get(events))
        .route("/v1/failover", post(hand_over))
        .route("/v1/drain", post(drain))
        .route("/v1/enable", post(enable))
        .route("/v1/weight", post(weight))
        .fallback(async |uri: Uri| fail(StatusCode::NOT_FOUND, format!("there is no {}", uri.path())))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            fail(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Daemon { requests, counters, feed, listeners })
}

async fn status(State(daemon): State<Daemon>) -> Result<Json<Status>, Response> {
    let (mut status, vrrp) = daemon.ask(Request::Status).await?;
    failover::complete(&mut status, vrrp).await;
    if let Some(counters) = daemon.counters.read(DATAPLANE_DEADLINE).await {
        status.add_counters(&counters);
    }
    Ok(Json(status))
}

async fn configuration(State(daemon): State<Daemon>) -> Result<Json<Description>, Response> {
    daemon.ask(Request::Configuration).await.map(Json)
}

/// Goes on until the client leaves, for as long as it takes.
async fn events(
    State(daemon): State<Daemon>,
    Extension(endless): Extension<Endless>,
) -> Result<Response, Response> {
    let place = Arc::clone(&daemon.listeners).try_acquire_owned().map_err(|_| {
        fail(StatusCode::TOO_MANY_REQUESTS, format!("{LISTENERS} clients listen to events already"))
    })?;
    endless.declare(place);
    let json_lines = [(CONTENT_TYPE, "application/x-ndjson")];
    Ok((json_lines, daemon.feed.listen()).into_response())
}

/// Says of a connection that it may go on for ever.
#[derive(Debug, Clone, Default)]
pub(super) struct Endless(Arc<OnceLock<OwnedSemaphorePermit>>);

impl Endless {
    fn declare(&self, place: OwnedSemaphorePermit) {
        let (Ok(()) | Err(_)) = self.0.set(place);
    }

    pub(super) fn is_declared(&self) -> bool {
        self.0.get().is_some()
    }
}

type Body<T> = Result<Json<T>, JsonRejection>;

async fn drain(State(daemon): State<Daemon>, body: Body<AddressedServer>) -> Result<Json<Done>, Response> {
    let Json(AddressedServer { virtual_server, real_server }) = body.map_err(rejected)?;
    daemon.command(Command::Drain { virtual_server: virtual_server.into(), real_server }).await
}

async fn enable(State(daemon): State<Daemon>, body: Body<AddressedServer>) -> Result<Json<Done>, Response> {
    let Json(AddressedServer { virtual_server, real_server }) = body.map_err(rejected)?;
    daemon.command(Command::Enable { virtual_server: virtual_server.into(), real_server }).await
}

async fn weight(State(daemon): State<Daemon>, body: Body<WeightChange>) -> Result<Json<Done>, Response> {
    let Json(WeightChange { virtual_server, real_server, weight }) = body.map_err(rejected)?;
    daemon.command(Command::Weight { virtual_server: virtual_server.into(), real_server, weight }).await
}

async fn hand_over(State(daemon): State<Daemon>, body: Body<NamedRouter>) -> Result<Json<Done>, Response> {
    let Json(NamedRouter { name }) = body.map_err(rejected)?;
    let refuse = |error| fail(StatusCode::UNPROCESSABLE_ENTITY, error);
    let vrrp =
        daemon.ask(Request::Failover).await?.ok_or_else(|| refuse("there are no virtual routers".into()))?;
    vrrp.failover(name.as_str().into()).await.map_err(refuse)?;
    Ok(Json(Done { done: format!("{name} resigns, and lets go when another director is heard") }))
}

impl Daemon {
    async fn command(&self, command: Command) -> Result<Json<Done>, Response> {
        match self.ask(|reply| Request::Command(command, reply)).await? {
            Ok(done) => Ok(Json(Done { done })),
            Err(error) => Err(fail(StatusCode::UNPROCESSABLE_ENTITY, error)),
        }
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Response> {
        let (reply, answer) = oneshot::channel();
        let stopping = || fail(StatusCode::SERVICE_UNAVAILABLE, "the director is stopping".into());
        self.requests.send(request(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}

fn rejected(rejection: JsonRejection) -> Response {
    fail(rejection.status(), rejection.body_text())
}

fn fail(status: StatusCode, error: String) -> Response {
    (status, Json(Failure { error })).into_response()
}
