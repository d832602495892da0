//! gRPC's health check: `grpc.health.v1.Health/Check` (<https://grpc.io/docs/guides/health-checking/>), a unary call
//! over HTTP/2.

mod message;

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::stream::{self, Tls};
use crate::trace::{Step, Trace};
use crate::{HttpVersion, Outcome, Target, TlsSpec, http as web, text};

/// What to ask a gRPC server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GrpcSpec {
    /// The service that is asked about; empty: the server as a whole.
    pub service: String,
    /// The `:authority`; none: the target's address.
    pub host: Option<String>,
    /// TLS around the connection, with HTTP/2 by ALPN; none: HTTP/2 with prior knowledge.
    pub tls: Option<TlsSpec>,
}

/// The most that the messages of an answer have together, in bytes.
const MOST: usize = 4096;

/// Calls and judges the answer. Either result is the outcome; an error ended the exchange early.
pub(crate) async fn ask(
    target: &Target,
    spec: &GrpcSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    exchange(stream::connect(target, tls, trace).await?, target, spec, trace).await
}

pub(crate) async fn exchange<S>(
    io: S,
    target: &Target,
    spec: &GrpcSpec,
    trace: &Trace,
) -> Result<Outcome, Outcome>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = request(spec, target.address)
        .map_err(|error| Outcome::NotRun(format!("cannot make the request: {error}")))?;
    trace.enter(Step::Header);
    let io = web::connection(io, MOST, trace);
    let (mut sender, connection) = web::begin_http2(io).await.map_err(|error| failure(&error, trace))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| failure(&error, trace))?;
        judge(response, trace).await
    };
    web::drive(connection, answer).await
}

fn request(spec: &GrpcSpec, peer: SocketAddr) -> Result<Request<Full<Bytes>>, http::Error> {
    let scheme = if spec.tls.is_some() { "https" } else { "http" };
    let host = spec.host.clone().unwrap_or_else(|| web::authority(peer, spec.tls.is_some()));
    Request::post(format!("{scheme}://{host}/grpc.health.v1.Health/Check"))
        .version(http::Version::HTTP_2)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, web::USER_AGENT)
        .body(Full::from(message::request(&spec.service)))
}

async fn judge(response: Response<Incoming>, trace: &Trace) -> Result<Outcome, Outcome> {
    let (head, mut body) = response.into_parts();
    is_grpc(head.status, &head.headers)?;
    // A server that has nothing else to say gives its status in the header.
    if let Some(status) = head.headers.get(STATUS) {
        return refused(status, &head.headers);
    }
    trace.enter(Step::Body);
    let (mut framed, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| failure(&error, trace))?.into_data() {
            Ok(data) => {
                trace.received(Step::Body, &data);
                framed.extend_from_slice(&data);
                if framed.len() > MOST {
                    return Err(Outcome::WrongAnswer(format!("the message has more than {MOST} bytes")));
                }
            }
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    match trailers.get(STATUS) {
        Some(ok) if ok == "0" => serving(&framed),
        Some(status) => refused(status, &trailers),
        None => Err(Outcome::WrongAnswer("the answer has no grpc-status".to_owned())),
    }
}

const STATUS: &str = "grpc-status";

/// Whether a gRPC server speaks, and not a web server or a proxy in front of it.
fn is_grpc(status: StatusCode, headers: &HeaderMap) -> Result<(), Outcome> {
    let content = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if status == StatusCode::OK && content.is_some_and(|it| it.starts_with(b"application/grpc")) {
        return Ok(());
    }
    let content = content.map_or_else(|| "no content type".to_owned(), text::quote);
    Err(Outcome::WrongAnswer(format!("the answer is not gRPC's: {}, {content}", web::describe(status))))
}

pub(crate) fn serving(framed: &[u8]) -> Result<Outcome, Outcome> {
    match message::read(framed) {
        Ok(message::Serving::YES) => Ok(Outcome::Passed("SERVING".to_owned())),
        Ok(other) => Err(Outcome::WrongAnswer(format!("{other} instead of SERVING"))),
        Err(why) => Err(Outcome::WrongAnswer(format!("the message {why}: {}", text::quote(framed)))),
    }
}

/// What a status other than 0 means.
fn refused(status: &HeaderValue, headers: &HeaderMap) -> Result<Outcome, Outcome> {
    let code = status.to_str().ok().and_then(|code| code.parse().ok());
    let name = code.and_then(|code: usize| CODES.get(code)).copied();
    let name = name.map_or_else(|| text::quote(status.as_bytes()), str::to_owned);
    let said = headers.get("grpc-message").map(|said| format!(": {}", text::quote(said.as_bytes())));
    Err(Outcome::WrongAnswer(format!("grpc-status {name} instead of SERVING{}", said.unwrap_or_default())))
}

/// By number (<https://grpc.io/docs/guides/status-codes/>).
const CODES: [&str; 17] = [
    "OK without a message",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

fn failure(error: &hyper::Error, trace: &Trace) -> Outcome {
    web::failure(error, HttpVersion::Http2, trace)
}
