//! TLS around a check's connection.
//!
//! Nothing here is global: the crypto provider is given to each configuration, and what is read from files belongs
//! to one set of [`Contexts`].

mod explain;
mod insecure;
mod material;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use http::uri::Authority;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) use explain::explain;
pub use material::PemFile;

use self::material::Roots;
use crate::trace::{Step, Trace, Traced};
use crate::{HttpSpec, HttpVersion, Outcome, TlsSpec};

/// The contexts that the checks of one configuration share: each distinct one is built once.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    contexts: HashMap<(TlsSpec, HttpVersion), Arc<Context>>,
    roots: Roots,
}

impl Contexts {
    /// The context for a check with `tls`, whose files are not read yet.
    pub(crate) fn get(&mut self, tls: &TlsSpec, version: HttpVersion) -> Arc<Context> {
        let spec = TlsSpec { sni: None, ..tls.clone() };
        let roots = &self.roots;
        let context = self.contexts.entry((spec.clone(), version)).or_insert_with(|| {
            Arc::new(Context { spec, version, roots: roots.clone(), config: OnceLock::new() })
        });
        Arc::clone(context)
    }
}

/// How to speak TLS, for all checks that do it in the same way.
#[derive(Debug)]
pub(crate) struct Context {
    spec: TlsSpec,
    version: HttpVersion,
    roots: Roots,
    config: OnceLock<watch::Receiver<Option<Config>>>,
}

type Config = Result<Arc<ClientConfig>, String>;

impl Context {
    /// The configuration. Whoever asks first has the files read, on a thread that may block; giving up the wait does
    /// not give up the reading. An error says which file and why.
    pub(crate) async fn config(&self) -> Config {
        let receiver = self.config.get_or_init(|| {
            let (sender, receiver) = watch::channel(None);
            let (spec, version, roots) = (self.spec.clone(), self.version, self.roots.clone());
            tokio::task::spawn_blocking(move || {
                sender.send(Some(material::client_config(&spec, version, &roots)))
            });
            receiver
        });
        match receiver.clone().wait_for(Option::is_some).await.as_deref() {
            Ok(Some(config)) => config.clone(),
            _ => Err("the thread that reads certificates has died".to_owned()),
        }
    }
}

/// The name that the server's certificate must have: `sni`, the host without its port, or the address.
pub(crate) fn server_name(
    spec: &HttpSpec,
    tls: &TlsSpec,
    peer: SocketAddr,
) -> Result<ServerName<'static>, Outcome> {
    let name = match (&tls.sni, &spec.host) {
        (Some(sni), _) => sni.clone(),
        (None, Some(host)) => match Authority::try_from(host.as_str()) {
            Ok(authority) => authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            Err(_) => host.clone(),
        },
        (None, None) => return Ok(peer.ip().into()),
    };
    ServerName::try_from(name.clone())
        .map_err(|_| Outcome::NotRun(format!("{name:?} cannot be a name in a certificate")))
}

/// Agrees on TLS with the server, and on HTTP/2 if that is to be spoken.
pub(crate) async fn handshake(
    tcp: TcpStream,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    trace: &Trace,
) -> Result<TlsStream<Traced<TcpStream>>, Outcome> {
    let wants_h2 = config.alpn_protocols.iter().any(|protocol| protocol == H2);
    let tcp = Traced::new(tcp, Step::Handshake, trace);
    let stream = TlsConnector::from(config).connect(name, tcp).await.map_err(|error| trace.broken(&error))?;
    if wants_h2 && stream.get_ref().1.alpn_protocol() != Some(H2) {
        return Err(Outcome::Tls("the server did not agree on HTTP/2 (ALPN \"h2\")".to_owned()));
    }
    Ok(stream)
}

const H2: &[u8] = b"h2";

/// What is offered by ALPN (RFC 7301). HTTP/1.0 offers nothing, as its servers mostly predate ALPN.
fn alpn(version: HttpVersion) -> Vec<Vec<u8>> {
    match version {
        HttpVersion::Http10 => Vec::new(),
        HttpVersion::Http11 => vec![b"http/1.1".to_vec()],
        HttpVersion::Http2 => vec![H2.to_vec()],
    }
}
