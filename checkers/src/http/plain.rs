//! HTTP/1 in clear text as it nearly always goes: a request that is sent at once, and an answer whose header comes
//! whole and decides. Whatever else comes is left to hyper, which says what it means.

use std::net::SocketAddr;

use http::StatusCode;
use httparse::Status;

use super::judge_status;
use super::request::build;
use crate::{HttpSpec, HttpVersion, Outcome};

/// As many as hyper takes; one more, and it is hyper that says so.
const MAX_HEADERS: usize = 100;

/// The largest body that is read at once, while other checks wait; in bytes.
const MAX_BODY: usize = 1 << 20;

/// Whether the check is HTTP/1 in clear text with the server itself, and reads little.
pub(crate) fn is_plain(spec: &HttpSpec) -> bool {
    let is_small = spec.body.is_none() || spec.max_body <= MAX_BODY;
    is_small && spec.tls.is_none() && spec.tunnel.is_none() && spec.version != HttpVersion::Http2
}

/// The request as it is sent (RFC 9112 §3).
pub(crate) fn request(spec: &HttpSpec, peer: SocketAddr) -> Result<Vec<u8>, Outcome> {
    let request = build(spec, peer)?;
    let line = [request.method().as_str(), " ", &spec.path, " ", version(spec.version), "\r\n"];
    let mut bytes = line.concat().into_bytes();
    for (name, value) in request.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    Ok(bytes)
}

/// What the answer that begins with `bytes` means; none if that is for hyper to say.
pub(crate) fn answer(spec: &HttpSpec, bytes: &[u8]) -> Option<Outcome> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let Ok(Status::Complete(_)) = answer.parse(bytes) else { return None };
    let status = StatusCode::from_u16(answer.code?).ok().filter(|it| !it.is_informational())?;
    if !is_framed_plainly(&answer) {
        return None;
    }
    match judge_status(status, spec) {
        Ok(_) if spec.body.is_some() => None,
        Ok(status) => Some(Outcome::Passed(status)),
        Err(outcome) => Some(outcome),
    }
}

/// Whether nothing is doubtful about where the body ends (RFC 9112 §6.3), which hyper would complain about.
fn is_framed_plainly(answer: &httparse::Response<'_, '_>) -> bool {
    let values = |name: &'static str| {
        answer.headers.iter().filter(move |it| it.name.eq_ignore_ascii_case(name)).map(|it| it.value)
    };
    let digits = |value: &[u8]| (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let (mut lengths, mut codings) = (values("content-length"), values("transfer-encoding"));
    match (lengths.next(), codings.next()) {
        (None, None) => true,
        (Some(length), None) => digits(length) && lengths.next().is_none(),
        (None, Some(coding)) => {
            coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none() && answer.version == Some(1)
        }
        (Some(_), Some(_)) => false,
    }
}

fn version(version: HttpVersion) -> &'static str {
    if version == HttpVersion::Http10 { "HTTP/1.0" } else { "HTTP/1.1" }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::StatusRange;

    pub(in crate::http) fn spec() -> HttpSpec {
        HttpSpec {
            tls: None,
            version: HttpVersion::Http11,
            tunnel: None,
            method: "GET".to_owned(),
            path: "/a?b".to_owned(),
            host: Some("www.example.com".to_owned()),
            headers: vec![("X-A".to_owned(), "1".to_owned())],
            status: vec![StatusRange { first: 200, last: 299 }],
            body: None,
            max_body: 1000,
        }
    }

    #[test]
    fn the_request() {
        let text = String::from_utf8(request(&spec(), "192.0.2.1:80".parse().unwrap()).unwrap()).unwrap();
        let (head, agent) = text.split_once("user-agent: tidegate/").unwrap();
        assert_eq!(head, "GET /a?b HTTP/1.1\r\nhost: www.example.com\r\nconnection: close\r\nx-a: 1\r\n");
        assert!(agent.ends_with("\r\n\r\n"));
    }

    #[test]
    fn plain_answers() {
        let passed = Some(Outcome::Passed("200 OK".to_owned()));
        for rest in ["", "Content-Length: 5\r\n", "Transfer-Encoding: Chunked\r\n", "Server: x\r\n"] {
            assert_eq!(answer(&spec(), format!("HTTP/1.1 200 Fine\r\n{rest}\r\nbody").as_bytes()), passed);
        }
        let gone = Some(Outcome::WrongAnswer("404 Not Found instead of 200-299".to_owned()));
        assert_eq!(answer(&spec(), b"HTTP/1.0 404 x\r\n\r\n"), gone);
    }

    #[test]
    fn whatever_is_doubtful_is_for_hyper() {
        for text in [
            "HTTP/1.1 200 OK\r\nServer: x\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(answer(&spec(), text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_judged(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let whole = [b"HTTP/1.1 200 OK\r\n".as_slice(), &bytes].concat();
            for bytes in [&bytes, &whole] {
                prop_assert!(!matches!(answer(&spec(), bytes), Some(Outcome::NotRun(_))));
            }
        }
    }
}
