//! The request of a check.

use std::net::SocketAddr;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Uri, Version, header};
use http_body_util::Empty;

use crate::{HttpSpec, HttpVersion, Outcome};

/// What we call ourselves unless the spec's headers say otherwise.
pub(crate) const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")));

/// The request that `spec` describes, for a server at `peer`.
pub(super) fn build(spec: &HttpSpec, peer: SocketAddr) -> Result<Request<Empty<Bytes>>, Outcome> {
    try_build(spec, peer).map_err(|error| Outcome::NotRun(format!("cannot make the request: {error}")))
}

fn try_build(spec: &HttpSpec, peer: SocketAddr) -> Result<Request<Empty<Bytes>>, http::Error> {
    let host = spec
        .host
        .clone()
        .or_else(|| spec.tunnel.clone())
        .unwrap_or_else(|| authority(peer, spec.tls.is_some()));
    let mut request = Request::builder().method(spec.method.as_str()).version(version(spec.version));
    request = match spec.version {
        HttpVersion::Http2 => {
            let scheme = if spec.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
            let authority = Authority::try_from(host)?;
            request
                .uri(Uri::builder().scheme(scheme).authority(authority).path_and_query(&*spec.path).build()?)
        }
        HttpVersion::Http11 => {
            request.uri(&*spec.path).header(header::HOST, host).header(header::CONNECTION, "close")
        }
        HttpVersion::Http10 => request.uri(&*spec.path).header(header::HOST, host),
    };
    for (name, value) in &spec.headers {
        request = request.header(name, value);
    }
    let mut request = request.body(Empty::new())?;
    request.headers_mut().entry(header::USER_AGENT).or_insert(USER_AGENT);
    Ok(request)
}

fn version(version: HttpVersion) -> Version {
    match version {
        HttpVersion::Http10 => Version::HTTP_10,
        HttpVersion::Http11 => Version::HTTP_11,
        HttpVersion::Http2 => Version::HTTP_2,
    }
}

/// The address, with its port unless that is the scheme's own (RFC 9110 §4.2.3).
pub(crate) fn authority(peer: SocketAddr, tls: bool) -> String {
    match (peer, peer.port() == if tls { 443 } else { 80 }) {
        (SocketAddr::V6(peer), true) => format!("[{}]", peer.ip()),
        (SocketAddr::V4(peer), true) => peer.ip().to_string(),
        // Without the scope, which means nothing to the server (RFC 6874 §1).
        (SocketAddr::V6(peer), false) => format!("[{}]:{}", peer.ip(), peer.port()),
        (SocketAddr::V4(peer), false) => peer.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StatusRange, TlsSpec};

    fn spec() -> HttpSpec {
        HttpSpec {
            tls: None,
            version: HttpVersion::Http11,
            tunnel: None,
            method: "GET".to_owned(),
            path: "//x?y".to_owned(),
            host: None,
            headers: vec![("X-A".to_owned(), "1".to_owned()), ("x-a".to_owned(), "2".to_owned())],
            status: vec![StatusRange { first: 200, last: 299 }],
            body: None,
            max_body: 1000,
        }
    }

    fn host(spec: &HttpSpec, peer: &str) -> String {
        build(spec, peer.parse().unwrap()).unwrap().headers()["host"].to_str().unwrap().to_owned()
    }

    #[test]
    fn origin_form() {
        let request = build(&spec(), "192.0.2.1:80".parse().unwrap()).unwrap();
        assert_eq!(request.uri().to_string(), "//x?y");
        assert_eq!(request.headers().get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(request.headers()["connection"], "close");
        assert_eq!(request.headers()["user-agent"], USER_AGENT);
    }

    #[test]
    fn the_address_is_the_host_when_nothing_else_is() {
        assert_eq!(host(&spec(), "192.0.2.1:80"), "192.0.2.1");
        assert_eq!(host(&spec(), "192.0.2.1:443"), "192.0.2.1:443");
        assert_eq!(host(&spec(), "[fe80::1%3]:8080"), "[fe80::1]:8080");
        let tls = HttpSpec { tls: Some(TlsSpec::default()), ..spec() };
        assert_eq!(host(&tls, "[2001:db8::1]:443"), "[2001:db8::1]");
        assert_eq!(host(&HttpSpec { host: Some("a:1".to_owned()), ..spec() }, "192.0.2.1:80"), "a:1");
    }

    #[test]
    fn http2_has_authority() {
        let spec = HttpSpec { version: HttpVersion::Http2, tls: Some(TlsSpec::default()), ..spec() };
        let request = build(&spec, "192.0.2.1:443".parse().unwrap()).unwrap();
        assert_eq!(request.uri().to_string(), "https://192.0.2.1//x?y");
        assert!(!request.headers().contains_key("host") && !request.headers().contains_key("connection"));
    }
}
