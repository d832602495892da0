//! A connection over which a check talks in a protocol of its own.
//!
//! What is received is kept until it is taken, never more of it than the bound that each wait is given.

use std::sync::Arc;

use bytes::BytesMut;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::client::TlsStream;

use crate::trace::{Step, Trace, Traced};
use crate::{Outcome, Target, TlsSpec, socket, tls};

/// How to agree on TLS.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// `config` is what was made of `spec`; without `sni` the certificate must be for the host, or the target's
    /// address.
    pub(crate) fn new(
        spec: &TlsSpec,
        host: Option<&str>,
        config: Arc<ClientConfig>,
        target: &Target,
    ) -> Result<Self, Outcome> {
        Ok(Self { name: tls::server_name(spec, host, target.address)?, config })
    }

    /// Agrees on TLS over `io`.
    pub(crate) async fn handshake<S>(&self, io: S, trace: &Trace) -> Result<TlsStream<Traced<S>>, Outcome>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        tls::handshake(io, self.name.clone(), Arc::clone(&self.config), trace).await
    }
}

/// What bytes go through, whatever lies below.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects, inside TLS if there is any, for whoever traces what goes through by itself.
pub(crate) async fn connect(
    target: &Target,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Box<dyn Io>, Outcome> {
    let tcp = socket::connect(target).await?;
    Ok(match tls {
        Some(tls) => Box::new(tls.handshake(tcp, trace).await?),
        None => Box::new(tcp),
    })
}

/// A connection in clear text or inside TLS.
pub(crate) struct Stream {
    io: Box<dyn Io>,
    trace: Trace,
    received: BytesMut,
}

impl Stream {
    /// Connects in clear text.
    pub(crate) async fn connect(target: &Target, trace: &Trace) -> Result<Self, Outcome> {
        let tcp = socket::connect(target).await?;
        Ok(Self::over(Traced::new(tcp, Step::Answer, trace), trace))
    }

    /// Connects, inside TLS if there is any.
    pub(crate) async fn open(target: &Target, tls: Option<&Tls>, trace: &Trace) -> Result<Self, Outcome> {
        let stream = Self::connect(target, trace).await?;
        match tls {
            Some(tls) => stream.start_tls(tls).await,
            None => Ok(stream),
        }
    }

    /// Over whatever connection there is.
    pub(crate) fn over(io: impl Io + 'static, trace: &Trace) -> Self {
        Self { io: Box::new(io), trace: trace.clone(), received: BytesMut::new() }
    }

    /// The connection itself, on which the server must not have said anything more.
    pub(crate) fn into_io(self) -> Result<Box<dyn Io>, Outcome> {
        match self.received.len() {
            0 => Ok(self.io),
            size => Err(Outcome::WrongAnswer(format!("{size} bytes more than the answer"))),
        }
    }

    /// Goes on inside TLS. What was received and not taken might come from somebody in between, who wants it to be
    /// taken for something said inside TLS (CVE-2011-0411): there must be none.
    pub(crate) async fn start_tls(self, tls: &Tls) -> Result<Self, Outcome> {
        if !self.received.is_empty() {
            let size = self.received.len();
            return Err(Outcome::WrongAnswer(format!("{size} bytes more in clear text before TLS")));
        }
        let inside = tls.handshake(self.io, &self.trace).await?;
        Ok(Self::over(Traced::new(inside, Step::Answer, &self.trace), &self.trace))
    }

    /// Sends all of it, and expects `what` in return.
    pub(crate) async fn ask(&mut self, bytes: &[u8], what: &str) -> Result<(), Outcome> {
        self.trace.expect(what);
        self.send(bytes).await
    }

    /// Sends all of it.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Outcome> {
        let sent = async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        };
        sent.await.map_err(|error| self.trace.broken(&error))
    }

    /// Waits for more; an error when there would be more than `most` bytes that were not taken.
    pub(crate) async fn receive(&mut self, most: usize) -> Result<(), Outcome> {
        if self.received.len() >= most {
            let what = self.trace.awaited();
            return Err(Outcome::WrongAnswer(format!("the {what} has more than {most} bytes")));
        }
        let room = most - self.received.len();
        self.received.reserve(room.min(4096));
        match (&mut self.io).take(room as u64).read_buf(&mut self.received).await {
            Ok(0) => Err(self.trace.broken(&std::io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(self.trace.broken(&error)),
        }
    }

    /// What was received and not taken.
    pub(crate) fn received(&self) -> &[u8] {
        &self.received
    }

    /// Takes `size` of the bytes that were received.
    pub(crate) fn take(&mut self, size: usize) -> BytesMut {
        self.received.split_to(size.min(self.received.len()))
    }

    /// Waits for the next `size` bytes and takes them.
    pub(crate) async fn exactly(&mut self, size: usize) -> Result<BytesMut, Outcome> {
        while self.received.len() < size {
            self.receive(size).await?;
        }
        Ok(self.take(size))
    }
}
