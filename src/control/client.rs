//! The other end of the control socket, for the command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::routes::Failure;

// A status of 37,000 real servers takes some 20 MB.
const MAX_ANSWER: usize = 256 * 1024 * 1024;
// An event, or the mistakes of a configuration that was refused.
const MAX_LINE: usize = 1024 * 1024;
const DEADLINE: Duration = Duration::from_secs(30);

/// Asks one daemon.
pub struct Client {
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("no director answers on {} (is it running, and is the socket the right one?)", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The daemon refuses.
    #[error("{0}")]
    Refused(String),
    /// The daemon does not answer as it should.
    #[error("the director's answer is not usable: {0}")]
    Answer(String),
    /// The daemon has ended what has no end.
    #[error("the director has closed the connection")]
    Closed,
    /// The daemon does not answer in time.
    #[error("the director did not answer within {} s", DEADLINE.as_secs())]
    Deadline,
}

impl Client {
    /// For the daemon with this control socket.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// `GET path`
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.request(Method::GET, path, Bytes::new()).await
    }

    /// `POST path` with a JSON body.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Answer(error.to_string()))?;
        self.request(Method::POST, path, body.into()).await
    }

    /// `GET path` of an answer of lines that does not end by itself; each is handed to `take` until that says no.
    pub async fn lines(&self, path: &str, mut take: impl FnMut(&[u8]) -> bool) -> Result<(), ClientError> {
        let answer = tokio::time::timeout(DEADLINE, self.send(Method::GET, path, Bytes::new()));
        let mut answer = answer.await.map_err(|_| ClientError::Deadline)??;
        let mut waiting = Vec::new();
        while let Some(frame) = answer.body.frame().await {
            let Ok(data) = frame.map_err(|_| ClientError::Closed)?.into_data() else { continue };
            waiting.extend_from_slice(&data);
            while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                let rest = waiting.split_off(end + 1);
                let line = std::mem::replace(&mut waiting, rest);
                if !take(&line[..end]) {
                    return Ok(());
                }
            }
            if waiting.len() > MAX_LINE {
                return Err(ClientError::Answer(format!("a line is longer than {MAX_LINE} bytes")));
            }
        }
        Err(ClientError::Closed)
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        tokio::time::timeout(DEADLINE, self.exchange(method, path, body))
            .await
            .map_err(|_| ClientError::Deadline)?
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let answer = self.send(method, path, body).await?;
        let body = Limited::new(answer.body, MAX_ANSWER).collect().await.map_err(|error| unusable(&error))?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| unusable(&error))
    }

    /// An answer that is no refusal.
    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::Connect { socket: self.socket.clone(), source })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unusable(&error))?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "tidegate")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| unusable(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| unusable(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Answer { body: answer.into_body(), _driver: driver });
        }
        let body =
            Limited::new(answer.into_body(), MAX_LINE).collect().await.map_err(|error| unusable(&error))?;
        Err(match serde_json::from_slice::<Failure>(&body.to_bytes()) {
            Ok(failure) => ClientError::Refused(failure.error),
            Err(_) => ClientError::Answer(status.to_string()),
        })
    }
}

/// Comes as long as it lives.
struct Answer {
    body: Incoming,
    _driver: JoinSet<hyper::Result<()>>,
}

fn unusable(error: &dyn std::fmt::Display) -> ClientError {
    ClientError::Answer(error.to_string())
}
