//! What can be asked over the control socket.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/configuration` | [`Description`] |
//! | `POST /v1/drain`, `POST /v1/enable` with [`AddressedServer`] | `{"done": "…"}` |
//! | `POST /v1/weight` with [`WeightChange`] | `{"done": "…"}` |
//!
//! Whatever goes wrong is answered with [`Failure`] and a status of 4xx or 5xx.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tidegate_engine::Command;
use tokio::sync::{mpsc, oneshot};

use super::Request;
use super::status::Status;
use crate::dataplane::CounterSources;
use crate::plan::Description;

const MAX_BODY: usize = 64 * 1024;
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
}

pub(super) fn router(requests: mpsc::Sender<Request>, counters: CounterSources) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/configuration", get(configuration))
        .route("/v1/drain", post(drain))
        .route("/v1/enable", post(enable))
        .route("/v1/weight", post(weight))
        .fallback(async |uri: Uri| fail(StatusCode::NOT_FOUND, format!("there is no {}", uri.path())))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            fail(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Daemon { requests, counters })
}

async fn status(State(daemon): State<Daemon>) -> Result<Json<Status>, Response> {
    let mut status = daemon.ask(Request::Status).await?;
    if let Some(counters) = daemon.counters.read(DATAPLANE_DEADLINE).await {
        status.add_counters(&counters);
    }
    Ok(Json(status))
}

async fn configuration(State(daemon): State<Daemon>) -> Result<Json<Description>, Response> {
    daemon.ask(Request::Configuration).await.map(Json)
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
