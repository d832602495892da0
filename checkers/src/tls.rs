//! TLS around a check's connection.
//!
//! Nothing here is global: the crypto provider is given to each configuration, and what is read from files belongs
//! to one set of [`Contexts`].

mod explain;
mod insecure;
mod material;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::uri::Authority;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) use explain::explain;
pub use material::PemFile;

use self::material::Roots;
use crate::trace::{Step, Trace, Traced};
use crate::{HttpVersion, Outcome, TlsSpec};

/// The contexts that all checks share: each distinct one is built once.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    contexts: HashMap<(TlsSpec, Alpn), Arc<Context>>,
    roots: Roots,
}

/// The protocols that are offered by ALPN (RFC 7301).
pub(crate) type Alpn = &'static [&'static [u8]];

impl Contexts {
    /// The context for a check with `tls`, whose files are not read yet.
    pub(crate) fn get(&mut self, tls: &TlsSpec, alpn: Alpn) -> Arc<Context> {
        let spec = TlsSpec { sni: None, ..tls.clone() };
        let files = Files { roots: self.roots.clone(), config: None };
        let context = self.contexts.entry((spec.clone(), alpn)).or_insert_with(|| {
            let files = Mutex::new(files);
            Arc::new(Context { spec, alpn, files })
        });
        Arc::clone(context)
    }

    /// Forgets what nobody uses, and what was read: whoever asks next has it read anew.
    pub(crate) fn renew(&mut self) {
        self.roots = Roots::default();
        self.contexts.retain(|_, context| {
            *context.files() = Files { roots: self.roots.clone(), config: None };
            Arc::strong_count(context) > 1
        });
    }
}

/// How to speak TLS, for all checks that do it in the same way.
#[derive(Debug)]
pub(crate) struct Context {
    spec: TlsSpec,
    alpn: Alpn,
    files: Mutex<Files>,
}

/// What was read, or is being read.
#[derive(Debug)]
struct Files {
    roots: Roots,
    config: Option<watch::Receiver<Option<Config>>>,
}

type Config = Result<Arc<ClientConfig>, String>;

impl Context {
    /// The configuration. Whoever asks first has the files read, on a thread that may block; giving up the wait does
    /// not give up the reading. An error says which file and why.
    pub(crate) async fn config(&self) -> Config {
        let mut receiver = self.reading();
        match receiver.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(config)) => config.clone(),
            _ => Err("the thread that reads certificates has died".to_owned()),
        }
    }

    fn reading(&self) -> watch::Receiver<Option<Config>> {
        let mut files = self.files();
        let roots = files.roots.clone();
        let receiver = files.config.get_or_insert_with(|| {
            let (sender, receiver) = watch::channel(None);
            let (spec, alpn) = (self.spec.clone(), self.alpn);
            tokio::task::spawn_blocking(move || {
                sender.send(Some(material::client_config(&spec, alpn, &roots)))
            });
            receiver
        });
        receiver.clone()
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name that the server's certificate must have: `sni`, the host without its port, or the address.
pub(crate) fn server_name(
    tls: &TlsSpec,
    host: Option<&str>,
    peer: SocketAddr,
) -> Result<ServerName<'static>, Outcome> {
    let name = match (&tls.sni, host) {
        (Some(sni), _) => sni.clone(),
        (None, Some(host)) => match Authority::try_from(host) {
            Ok(authority) => authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            Err(_) => host.to_owned(),
        },
        (None, None) => return Ok(peer.ip().into()),
    };
    ServerName::try_from(name.clone())
        .map_err(|_| Outcome::NotRun(format!("{name:?} cannot be a name in a certificate")))
}

/// Agrees on TLS with the server, and on HTTP/2 if that is to be spoken.
pub(crate) async fn handshake<S>(
    io: S,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    trace: &Trace,
) -> Result<TlsStream<Traced<S>>, Outcome>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    trace.enter(Step::Handshake);
    let wants_h2 = config.alpn_protocols.iter().any(|protocol| protocol == H2);
    let io = Traced::new(io, Step::Handshake, trace);
    let stream = TlsConnector::from(config).connect(name, io).await.map_err(|error| trace.broken(&error))?;
    if wants_h2 && stream.get_ref().1.alpn_protocol() != Some(H2) {
        return Err(Outcome::Tls("the server did not agree on HTTP/2 (ALPN \"h2\")".to_owned()));
    }
    Ok(stream)
}

const H2: &[u8] = b"h2";

/// What is offered for a version of HTTP: nothing for HTTP/1.0, as its servers mostly predate ALPN.
pub(crate) fn alpn(version: HttpVersion) -> Alpn {
    match version {
        HttpVersion::Http10 => &[],
        HttpVersion::Http11 => &[b"http/1.1"],
        HttpVersion::Http2 => &[H2],
    }
}
