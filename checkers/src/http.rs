//! HTTP checks: one request on a connection of its own.

mod answering;
mod body;
pub(crate) mod plain;
mod request;
mod resumed;
pub(crate) mod tunnel;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::task::JoinSet;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::answering::Answering;
pub(crate) use self::request::{USER_AGENT, authority};
pub(crate) use self::resumed::Resumed;
use crate::stream::{self, Tls};
use crate::trace::{Step, Trace, Traced};
use crate::{HttpSpec, HttpVersion, Outcome, StatusRange, Target, text};

/// The most that an answer's header may have, in bytes.
pub(crate) const MAX_HEADER: usize = 64 << 10;
/// What an answer may have beside its header and its body, such as interim answers (RFC 9110 §15.2), in bytes: hyper
/// passes over any number of these.
const BESIDE: usize = 64 << 10;
/// What a server may send of the body before we have asked for more, in bytes (RFC 9113 §5.2).
const WINDOW: u32 = 64 << 10;

/// Sends the request and judges the answer. Either result is the outcome; an error ended the exchange early.
pub(crate) async fn ask(
    target: &Target,
    spec: &HttpSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    if let Some(to) = &spec.tunnel {
        let stream = tunnel::open(target, to, trace).await?;
        let stream = match tls {
            Some(tls) => stream.start_tls(tls).await?,
            None => stream,
        };
        return exchange(stream.into_io()?, target, spec, trace).await;
    }
    exchange(stream::connect(target, tls, trace).await?, target, spec, trace).await
}

pub(crate) async fn exchange<S>(
    io: S,
    target: &Target,
    spec: &HttpSpec,
    trace: &Trace,
) -> Result<Outcome, Outcome>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = request::build(spec, target.address)?;
    trace.enter(Step::Header);
    let io = connection(io, spec.body.as_ref().map_or(0, |_| spec.max_body), trace);
    let failed = |error| failure(&error, spec.version, trace);
    if spec.version == HttpVersion::Http2 {
        let (mut sender, connection) = begin_http2(io).await.map_err(failed)?;
        drive(connection, answer(sender.send_request(request), spec, trace)).await
    } else {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEADER)
            .handshake::<_, Empty<Bytes>>(io)
            .await
            .map_err(failed)?;
        drive(connection, answer(sender.send_request(request), spec, trace)).await
    }
}

/// `io` for hyper, with an answer whose body may have `most` bytes, and its framing as many again.
pub(crate) fn connection<S>(io: S, most: usize, trace: &Trace) -> TokioIo<Traced<S>> {
    TokioIo::new(Traced::new(io, Step::Header, trace).at_most(MAX_HEADER + BESIDE + 2 * most))
}

/// HTTP/2 over `io`, with little that the server may send unasked.
pub(crate) async fn begin_http2<S, B>(
    io: TokioIo<S>,
) -> hyper::Result<(http2::SendRequest<B>, http2::Connection<TokioIo<S>, B, Tasks>)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    http2::Builder::new(Tasks::default())
        .max_header_list_size(MAX_HEADER as u32)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake(io)
        .await
}

/// Runs the connection until the answer is there. How the connection ends is told to whoever waits for the response
/// or its body.
pub(crate) async fn drive(
    connection: impl Future,
    answer: impl Future<Output = Result<Outcome, Outcome>>,
) -> Result<Outcome, Outcome> {
    let connection = async {
        connection.await;
        std::future::pending().await
    };
    select! {
        biased;
        outcome = answer => outcome,
        outcome = connection => outcome,
    }
}

async fn answer(
    response: impl Future<Output = hyper::Result<Response<Incoming>>>,
    spec: &HttpSpec,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    let response = response.await.map_err(|error| failure(&error, spec.version, trace))?;
    judge(response, spec, trace).await
}

async fn judge(response: Response<Incoming>, spec: &HttpSpec, trace: &Trace) -> Result<Outcome, Outcome> {
    let status = judge_status(response.status(), spec)?;
    if let Some(expected) = &spec.body {
        trace.enter(Step::Body);
        let failed = |error| failure(&error, spec.version, trace);
        body::judge(response.into_body(), expected, spec.max_body, trace, failed)
            .await?
            .map_err(|why| Outcome::WrongAnswer(format!("{status}, but {why}")))?;
    }
    Ok(Outcome::Passed(status))
}

/// The status in words, if it is one of those that are wanted.
fn judge_status(status: StatusCode, spec: &HttpSpec) -> Result<String, Outcome> {
    let text = describe(status);
    if spec.status.iter().any(|range| range.contains(status.as_u16())) {
        return Ok(text);
    }
    Err(Outcome::WrongAnswer(format!("{text} instead of {}", list(&spec.status))))
}

/// What an error of hyper's means. Where hyper cannot say what happened to the connection, the trace can.
pub(crate) fn failure(error: &hyper::Error, version: HttpVersion, trace: &Trace) -> Outcome {
    let source = std::error::Error::source(error);
    let h2 = source.and_then(|source| source.downcast_ref::<h2::Error>());
    match (h2, trace.end()) {
        (Some(h2), _) if h2.is_remote() => {
            return Outcome::Reset(format!("by means of HTTP/2: {}", text::quote(h2.to_string().as_bytes())));
        }
        (Some(h2), Some(end)) if h2.is_io() => return end,
        (None, Some(end)) if !error.is_parse() => return end,
        _ => {}
    }
    let name = match version {
        HttpVersion::Http2 if trace.begins_with(b"HTTP/1") => "HTTP/2 but HTTP/1".to_owned(),
        HttpVersion::Http2 => "HTTP/2".to_owned(),
        _ => "HTTP/1".to_owned(),
    };
    let why = source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    let why = text::quote(why.as_bytes());
    let first = trace.first().map(|first| format!("; it begins with {first}")).unwrap_or_default();
    Outcome::WrongAnswer(format!("the answer is not {name}: {why}{first}"))
}

/// `404 Not Found`; the words are ours, not the server's.
pub(crate) fn describe(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn list(ranges: &[StatusRange]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Runs the tasks of an HTTP/2 connection, which hyper wants to have run beside it, until the connection is dropped.
/// Were they spawned for good, a server that does not read could keep its connection open for as long as it likes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }
}
