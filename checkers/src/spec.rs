//! What is asked of a real server. Pure values; equal specs to equal targets are one probe.

use std::path::PathBuf;

use regex::Regex;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Spec {
    /// A connection can be opened.
    Tcp,
    /// An HTTP request is answered as it should be, in clear text or inside TLS.
    Http(Box<HttpSpec>),
}

/// An HTTP request and what its answer must look like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpSpec {
    /// TLS around the connection: `https`.
    pub tls: Option<TlsSpec>,
    /// Which version to speak.
    pub version: HttpVersion,
    /// The request method, a token: `GET`.
    pub method: String,
    /// The request target in origin form: `/health?deep=1`.
    pub path: String,
    /// The Host header or `:authority`; none: the target's address.
    pub host: Option<String>,
    /// Further request headers, in order. Validated names and values.
    pub headers: Vec<(String, String)>,
    /// Acceptable statuses; never empty.
    pub status: Vec<StatusRange>,
    /// What the body must be; none: the body is not read beyond what the version demands.
    pub body: Option<Body>,
    /// The most bytes of body that are read.
    pub max_body: usize,
}

/// Versions of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2: chosen by ALPN inside TLS, with prior knowledge in clear text.
    Http2,
}

/// An inclusive range of status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusRange {
    /// The lowest that is accepted, from 100.
    pub first: u16,
    /// The highest that is accepted, to 999.
    pub last: u16,
}

/// What a body must be.
#[derive(Debug, Clone)]
pub enum Body {
    /// The expression matches somewhere in the first `max_body` bytes, read as UTF-8 with replacement.
    Matches(Regex),
    /// The whole body has this SHA-256 digest; a body over `max_body` fails.
    Sha256([u8; 32]),
}

/// How to speak TLS. Verification is on unless `insecure`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TlsSpec {
    /// The name that is sent and that the certificate must have; none: the host, or the target's address.
    pub sni: Option<String>,
    /// PEM file of acceptable roots in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Accept any certificate.
    pub insecure: bool,
    /// PEM file of the client's certificate chain and PEM file of its key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

// Regexes have no equality of their own; two of the same text are the same question.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Matches(a), Self::Matches(b)) => a.as_str() == b.as_str(),
            (Self::Sha256(a), Self::Sha256(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Body {}

impl std::hash::Hash for Body {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Self::Matches(regex) => regex.as_str().hash(state),
            Self::Sha256(digest) => digest.hash(state),
        }
    }
}
