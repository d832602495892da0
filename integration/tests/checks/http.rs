use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use tidegate_checkers::{Body, HttpSpec, HttpVersion, Outcome, Regex, Spec, StatusRange, TlsSpec};
use tidegate_integration::nginx::{Nginx, free_port};
use tokio::io::AsyncWriteExt;

use crate::{ask, ask_for_a_second, get, observe, passed, server, wrong};

fn nginx(server: &str) -> (Nginx, SocketAddr) {
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    (Nginx::start(&format!("server {{ listen {address}; {server} }}")), address)
}

fn matching(expression: &str) -> HttpSpec {
    HttpSpec { body: Some(Body::Matches(Regex::new(expression).unwrap())), ..get() }
}

/// The digest as another program computes it.
fn digest_of(bytes: &[u8]) -> [u8; 32] {
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-binary"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl runs (Debian package openssl)");
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout.try_into().unwrap()
}

fn with_digest(bytes: &[u8]) -> HttpSpec {
    HttpSpec { body: Some(Body::Sha256(digest_of(bytes))), ..get() }
}

#[tokio::test]
async fn status() {
    let (_nginx, address) =
        nginx("location / { return 200 ok; } location /gone { return 302 http://127.0.0.1/; }");
    assert_eq!(ask(address, get()).await, passed("200 OK"));
    let gone = HttpSpec { path: "/gone".to_owned(), ..get() };
    assert_eq!(wrong(ask(address, gone.clone()).await), "302 Found instead of 200-299");
    let ranges = [(200, 204), (302, 302)].map(|(first, last)| StatusRange { first, last });
    assert_eq!(ask(address, HttpSpec { status: ranges.to_vec(), ..gone }).await, passed("302 Found"));
}

/// nginx tells what it was asked.
#[tokio::test]
async fn the_request_is_what_the_spec_says() {
    let (_nginx, address) = nginx(
        r#"location / { return 200 "$request|$http_host|$http_x_a|$http_user_agent|$http_connection|$http_content_length"; }"#,
    );
    let spec = HttpSpec {
        method: "OPTIONS".to_owned(),
        path: "/a/b?c=%20&d".to_owned(),
        host: Some("www.example.com:8080".to_owned()),
        headers: vec![("X-A".to_owned(), "1 2".to_owned()), ("User-Agent".to_owned(), "probe".to_owned())],
        ..get()
    };
    for (version, name, connection) in
        [(HttpVersion::Http10, "1.0", ""), (HttpVersion::Http11, "1.1", "close")]
    {
        let line = format!(
            r"^OPTIONS /a/b\?c=%20&d HTTP/{name}\|www\.example\.com:8080\|1 2\|probe\|{connection}\|$"
        );
        let spec = HttpSpec { version, ..spec.clone() };
        assert_eq!(ask(address, HttpSpec { body: matching(&line).body, ..spec }).await, passed("200 OK"));
    }
    let plain = format!(r"^GET / HTTP/1\.1\|{address}\|\|tidegate/[0-9.]+\|close\|$");
    assert_eq!(ask(address, matching(&plain)).await, passed("200 OK"));
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let _nginx = Nginx::start(&format!(
        r#"server {{ listen {address} http2; location / {{ return 200 "$server_protocol $http_host"; }} }}"#
    ));
    let spec = HttpSpec {
        version: HttpVersion::Http2,
        host: Some("a.example".to_owned()),
        ..matching("^HTTP/2.0 a.example$")
    };
    assert_eq!(ask(address, spec.clone()).await, passed("200 OK"));

    let (_nginx, address) = nginx("location / { return 200 ok; }");
    let text = wrong(ask(address, spec).await);
    assert!(text.starts_with("the answer is not HTTP/2 but HTTP/1: "), "{text}");
    assert!(text.contains("it begins with \"HTTP/1.1 400 Bad Request"), "{text}");
}

#[tokio::test]
async fn http2_reset() {
    let address = server::start(|mut stream| async move {
        server::read_request(&mut stream).await;
        // RFC 9113 §6: SETTINGS, then RST_STREAM with REFUSED_STREAM.
        stream.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\x04\x03\0\0\0\0\x01\0\0\0\x07").await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    })
    .await;
    match ask(address, HttpSpec { version: HttpVersion::Http2, ..get() }).await {
        Outcome::Reset(text) => assert!(text.starts_with("by means of HTTP/2: \"stream error"), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// Whatever a server says when it says goodbye, it stays one short line.
#[tokio::test]
async fn http2_goodbye() {
    let address = server::start(|mut stream| async move {
        server::read_request(&mut stream).await;
        // RFC 9113 §6.8: GOAWAY with PROTOCOL_ERROR and 8,192 bytes of debug data.
        stream.write_all(b"\0\0\0\x04\0\0\0\0\0\0\x20\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01").await.unwrap();
        stream.write_all(&b"\x1b[2J\r\n\0x".repeat(1024)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    })
    .await;
    match ask(address, HttpSpec { version: HttpVersion::Http2, ..get() }).await {
        Outcome::Reset(text) => {
            assert!(text.chars().count() < 200 && !text.contains(char::is_control), "{text:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn body_expression() {
    let (_nginx, address) = nginx("location / { return 200 'all is well'; }");
    assert_eq!(ask(address, matching("is (well|fine)")).await, passed("200 OK"));
    let text = wrong(ask(address, matching("^fine$")).await);
    assert_eq!(
        text,
        r#"200 OK, but "^fine$" does not match in the first 11 bytes of the body: "all is well""#
    );
    // Only the beginning counts.
    let cut = HttpSpec { max_body: 6, ..matching("well") };
    assert!(wrong(ask(address, cut).await).ends_with(r#"in the first 6 bytes of the body: "all is""#));
}

#[tokio::test]
async fn large_bodies() {
    let files = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..10 << 20).map(|i| (i % 251) as u8).collect();
    std::fs::write(files.path().join("large"), &large).unwrap();
    let (_nginx, address) = nginx(&format!("root {};", files.path().display()));
    let at = |spec| HttpSpec { path: "/large".to_owned(), ..spec };

    assert_eq!(ask(address, at(get())).await, passed("200 OK"));
    assert_eq!(ask(address, at(matching("^\\x00\\x01"))).await, passed("200 OK"));
    let right = at(HttpSpec { max_body: large.len(), ..with_digest(&large) });
    assert_eq!(ask(address, right.clone()).await, passed("200 OK"));
    let too_large = HttpSpec { max_body: large.len() - 1, ..right };
    assert_eq!(
        wrong(ask(address, too_large).await),
        "200 OK, but the body is larger than max_body, 10485759 bytes"
    );
    let text = wrong(ask(address, at(HttpSpec { max_body: large.len(), ..with_digest(b"other") })).await);
    assert!(text.starts_with("200 OK, but the SHA-256 digest of the body (10485760 bytes) is "), "{text}");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded_too() {
    let address = server::answering(&["HTTP/1.1 200 OK\r\n\r\n12345", "67890"]).await;
    assert_eq!(ask(address, HttpSpec { max_body: 10, ..with_digest(b"1234567890") }).await, passed("200 OK"));
    let text = wrong(ask(address, HttpSpec { max_body: 9, ..with_digest(b"1234567890") }).await);
    assert!(text.contains("larger than max_body, 9 bytes"), "{text}");
}

#[tokio::test]
async fn http10_servers_close() {
    let address = server::answering(&["HTTP/1.0 200 OK\r\nServer: old\r\n\r\nall is ", "well"]).await;
    for version in [HttpVersion::Http10, HttpVersion::Http11] {
        assert_eq!(ask(address, HttpSpec { version, ..matching("^all is well$") }).await, passed("200 OK"));
    }
}

#[tokio::test]
async fn chunks_are_joined() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let address =
        server::answering(&[head, "8\r\nall is w\r\n3", ";x=y\r\nell\r", "\n0\r\nTrailer: x\r\n\r\n"]).await;
    assert_eq!(ask(address, matching("^all is well$")).await, passed("200 OK"));
    assert_eq!(ask(address, with_digest(b"all is well")).await, passed("200 OK"));

    let address = server::answering(&[head, "8\r\nall is w\r\nzz\r\n"]).await;
    let text = wrong(ask(address, matching("well")).await);
    assert!(text.starts_with("the answer is not HTTP/1: "), "{text}");
}

#[tokio::test]
async fn informational_answers_are_passed_over() {
    let address =
        server::answering(&["HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"]).await;
    assert_eq!(ask(address, get()).await, passed("204 No Content"));
}

#[tokio::test]
async fn drips_end_at_the_deadline() {
    let header = server::dripping("HTTP/1.1 200 OK\r\nX: ").await;
    let body = server::dripping("HTTP/1.1 200 OK\r\n\r\n").await;
    let chunks = server::dripping("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n").await;
    let silent = server::silent().await;
    let (header, body, chunks, silent) = tokio::join!(
        ask_for_a_second(header, get()),
        ask_for_a_second(body, matching("never")),
        ask_for_a_second(chunks, matching("never")),
        ask_for_a_second(silent, get()),
    );
    let text = |outcome| match outcome {
        Outcome::AnswerTimeout(text) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(text(silent), "no answer within 1s");
    for (outcome, before, least) in [(header, "header", 22), (body, "body", 2), (chunks, "body", 2)] {
        let text = text(outcome);
        let bytes: String = text.chars().filter(char::is_ascii_digit).collect();
        let bytes: u32 = bytes.strip_suffix('1').unwrap().parse().unwrap();
        assert_eq!(text, format!("{before} not complete after {bytes} bytes within 1s"));
        assert!((least..least + 12).contains(&bytes), "{text}");
    }
}

/// The check is over when its answer is there, whatever comes after.
#[tokio::test]
async fn a_body_that_nobody_asked_for_is_not_waited_for() {
    let address = server::dripping("HTTP/1.1 200 OK\r\n\r\n").await;
    assert_eq!(ask(address, get()).await, passed("200 OK"));
    let enough = HttpSpec { max_body: 3, ..matching("^xxx$") };
    assert_eq!(ask(address, enough).await, passed("200 OK"));
}

#[tokio::test]
async fn connections_that_end_early() {
    for (pieces, text) in [
        (&[][..], "closed by the server: no answer"),
        (&["HTTP/1.1 200"], "closed by the server: header not complete after 12 bytes"),
        (
            &["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12345"],
            "closed by the server: body not complete after 5 bytes",
        ),
    ] {
        let address = server::answering(pieces).await;
        assert_eq!(ask(address, with_digest(b"123456789")).await, Outcome::Reset(text.to_owned()));
    }
    let address = server::start(|mut stream| async move {
        server::read_request(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    assert_eq!(ask(address, get()).await, Outcome::Reset("reset by the server: no answer".to_owned()));
}

#[tokio::test]
async fn garbage() {
    let address = server::answering(&["\x1b]0;owned\x07\r\nSSH-2.0-OpenSSH\r\n\r\n"]).await;
    let text = wrong(ask(address, get()).await);
    assert!(text.starts_with("the answer is not HTTP/1: "), "{text}");
    assert!(text.ends_with(r#"; it begins with "\u{1b}]0;owned\u{7}\r\nSSH-2.0-OpenSSH\r\n\r\n""#), "{text}");
    for version in [HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2] {
        let text = wrong(ask(address, HttpSpec { version, ..get() }).await);
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

#[tokio::test]
async fn random_bytes() {
    // Xorshift (Marsaglia, 2003): the same bytes in every run.
    let mut state = 1u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    let secure = HttpSpec { tls: Some(TlsSpec { insecure: true, ..TlsSpec::default() }), ..get() };
    for size in (1..2000).step_by(97) {
        let bytes: Vec<u8> = std::iter::repeat_with(&mut random).take(size).collect();
        let answer = bytes.clone();
        let address = server::start(move |mut stream| {
            let answer = answer.clone();
            async move {
                let (mut reader, mut writer) = stream.split();
                let _ = writer.write_all(&answer).await;
                let _ = writer.shutdown().await;
                let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
            }
        })
        .await;
        let clear = [HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2]
            .map(|version| HttpSpec { version, ..matching("x") });
        for spec in clear.into_iter().chain([secure.clone()]) {
            let outcome = ask(address, spec).await;
            assert!(
                matches!(outcome, Outcome::WrongAnswer(_) | Outcome::Reset(_) | Outcome::Tls(_)),
                "{outcome:?} for {bytes:?}"
            );
        }
    }
}

#[tokio::test]
async fn endless_headers_are_cut_off() {
    let address = server::start(|mut stream| async move {
        server::read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while stream.write_all(b"X: 123456789\r\n").await.is_ok() {}
    })
    .await;
    let observation = observe(address, Spec::Http(Box::new(get())), Duration::from_secs(10)).await;
    let text = wrong(observation.outcome);
    assert!(text.contains("message head is too large"), "{text}");
    assert!(observation.latency < Duration::from_secs(5), "{:?}", observation.latency);
}

#[tokio::test]
async fn refused() {
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    assert_eq!(ask(address, get()).await, Outcome::Refused);
}
