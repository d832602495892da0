//! What is asked of a real server. Pure values; equal specs to equal targets are one probe.

use std::fmt;
use std::path::PathBuf;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Method, header};
use regex::Regex;
use rustls::pki_types::ServerName;

use crate::{
    AgentSpec, DialogueSpec, DnsSpec, FileSpec, GrpcSpec, LdapSpec, MqttSpec, NtpSpec, PingSpec, RadiusSpec,
    ScriptSpec, SipSpec, SqlSpec, UdpSpec, WebsocketSpec,
};

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Spec {
    /// A connection can be opened.
    Tcp,
    /// A SYN is answered; no connection is opened.
    TcpHalfOpen,
    /// An HTTP request is answered as it should be, in clear text or inside TLS.
    Http(Box<HttpSpec>),
    /// A conversation over TCP goes as it should.
    Dialogue(Box<DialogueSpec>),
    /// A DNS query is answered as it should be.
    Dns(Box<DnsSpec>),
    /// A RADIUS request is answered as it should be.
    Radius(Box<RadiusSpec>),
    /// A datagram is answered as it should be, or at least not refused.
    Udp(Box<UdpSpec>),
    /// An ICMP echo comes back.
    Ping(PingSpec),
    /// A time server has a clock that can be trusted.
    Ntp(NtpSpec),
    /// A database lets us in and answers.
    Sql(Box<SqlSpec>),
    /// A directory lets us in and finds what is looked for.
    Ldap(Box<LdapSpec>),
    /// A gRPC server says that it serves.
    Grpc(Box<GrpcSpec>),
    /// A WebSocket can be opened.
    Websocket(Box<WebsocketSpec>),
    /// A broker of MQTT accepts a connection.
    Mqtt(Box<MqttSpec>),
    /// A SIP request is answered as it should be.
    Sip(Box<SipSpec>),
    /// A program of the operator's says so.
    Script(Box<ScriptSpec>),
    /// An agent on the server says so.
    Agent(Box<AgentSpec>),
    /// A file of the director's does not say otherwise.
    File(Box<FileSpec>),
}

impl Spec {
    /// Whether a port of the target is asked, and not the host as a whole.
    pub fn has_port(&self) -> bool {
        !matches!(self, Self::Ping(_))
    }

    /// How TLS is spoken, if it is.
    pub(crate) fn tls(&self) -> Option<&TlsSpec> {
        match self {
            Self::Tcp
            | Self::TcpHalfOpen
            | Self::Radius(_)
            | Self::Udp(_)
            | Self::Ping(_)
            | Self::Ntp(_)
            | Self::Script(_)
            | Self::File(_) => None,
            Self::Http(spec) => spec.tls.as_ref(),
            Self::Dialogue(spec) => spec.tls.as_ref(),
            Self::Dns(spec) => spec.tls(),
            Self::Sql(spec) => spec.tls.as_ref(),
            Self::Ldap(spec) => spec.tls(),
            Self::Grpc(spec) => spec.tls.as_ref(),
            Self::Websocket(spec) => spec.tls.as_ref(),
            Self::Mqtt(spec) => spec.tls.as_ref(),
            Self::Sip(spec) => spec.tls(),
            Self::Agent(spec) => spec.tls.as_ref(),
        }
    }

    /// The name that a certificate must have where its spec does not say.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Http(spec) => spec.host.as_deref().or(spec.tunnel.as_deref()),
            Self::Grpc(spec) => spec.host.as_deref(),
            Self::Websocket(spec) => spec.host.as_deref(),
            _ => None,
        }
    }
}

/// An HTTP request and what its answer must look like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpSpec {
    /// TLS around the connection: `https`.
    pub tls: Option<TlsSpec>,
    /// Which version to speak.
    pub version: HttpVersion,
    /// A host and a port to which the target, a proxy, is to open a tunnel for the request.
    pub tunnel: Option<String>,
    /// The request method, a token: `GET`.
    pub method: String,
    /// The request target in origin form: `/health?deep=1`.
    pub path: String,
    /// The Host header or `:authority`; none: the tunnel's end, or the target's address.
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

impl StatusRange {
    /// Whether `status` is within the range.
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

/// `200` or `200-299`, as in the configuration.
impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
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

/// Whether `text` can be the [`HttpSpec::method`]: a token (RFC 9110 §9.1), and not CONNECT, which has no path.
pub fn is_method(text: &str) -> bool {
    Method::from_bytes(text.as_bytes()).is_ok_and(|method| method != Method::CONNECT)
}

/// Whether `text` can be the [`HttpSpec::path`]: the origin form of RFC 9112 §3.2.1, so no fragment and nothing that
/// has to be percent-encoded.
pub fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        && PathAndQuery::try_from(text).is_ok()
}

/// Whether `text` can be the [`HttpSpec::host`]: a name or an address, with a port or without (RFC 9110 §7.2).
pub fn is_host(text: &str) -> bool {
    Authority::try_from(text).is_ok_and(|authority| !authority.host().is_empty() && !text.contains('@'))
}

/// Whether `text` can be the [`HttpSpec::tunnel`]: as a host, but with its port.
pub fn is_tunnel(text: &str) -> bool {
    is_host(text) && Authority::try_from(text).is_ok_and(|authority| authority.port_u16().is_some())
}

/// Whether `text` can be the [`TlsSpec::sni`]: a DNS name, or an address, which is verified but not sent
/// (RFC 6066 §3).
pub fn is_server_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

/// Whether a check can send this header: a token, and a value of visible ASCII, spaces and tabs (RFC 9110 §5).
///
/// Not `Host`, for which there is [`HttpSpec::host`], and none that frames the message or speaks of the connection
/// (RFC 9110 §7.6.1), since a request has no body and one connection for itself.
pub fn is_header(name: &str, value: &str) -> bool {
    const OWN: [HeaderName; 9] = [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::EXPECT,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];
    HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| !OWN.contains(&name))
        && value.is_ascii()
        && HeaderValue::from_str(value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods() {
        assert!(is_method("GET") && is_method("HEAD") && is_method("M-SEARCH"));
        assert!(!is_method("") && !is_method("GE T") && !is_method("GET\r\n") && !is_method("CONNECT"));
    }

    #[test]
    fn paths() {
        assert!(is_path("/") && is_path("/health?deep=1&x=%20") && is_path("//x"));
        for bad in ["", "health", "*", "/a b", "/a#b", "/ä", "/a\r\nX: y", "http://x/"] {
            assert!(!is_path(bad), "{bad}");
        }
    }

    #[test]
    fn hosts() {
        assert!(
            is_host("www.example.com")
                && is_host("a:8080")
                && is_host("[2001:db8::1]:80")
                && is_host("192.0.2.1")
        );
        for bad in ["", ":80", "a b", "user@a", "a/b", "a\r\nX: y"] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn tunnels() {
        assert!(is_tunnel("www.example.com:443") && is_tunnel("[2001:db8::1]:80"));
        assert!(
            !is_tunnel("www.example.com") && !is_tunnel("a:x") && !is_tunnel("a:99999") && !is_tunnel(":1")
        );
    }

    #[test]
    fn server_names() {
        assert!(
            is_server_name("www.example.com") && is_server_name("192.0.2.1") && is_server_name("2001:db8::1")
        );
        assert!(!is_server_name("") && !is_server_name("a b") && !is_server_name("a:443"));
    }

    #[test]
    fn headers() {
        assert!(is_header("User-Agent", "tidegate") && is_header("x-empty", ""));
        for (name, value) in
            [("", "a"), ("a b", "c"), ("x", "a\r\nb: c"), ("x", "ä"), ("Host", "a"), ("Content-Length", "1")]
        {
            assert!(!is_header(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn status_ranges() {
        let range = StatusRange { first: 200, last: 299 };
        assert!(range.contains(200) && range.contains(299) && !range.contains(199) && !range.contains(300));
        assert_eq!(range.to_string(), "200-299");
        assert_eq!(StatusRange { first: 204, last: 204 }.to_string(), "204");
    }
}
