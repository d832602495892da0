//! Servers that are broken in the ways that all can be, for every type of check that talks over TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_integration::sockets::free_port;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::server;
use crate::written::outcome_within;

/// A check of each type and transport.
#[derive(Clone, Copy)]
struct Check {
    keys: &'static str,
    /// What it is that other checks of its type are not.
    variant: &'static str,
    /// What an answer begins with that is not wrong yet.
    beginning: &'static [u8],
    /// What is missing when the server says nothing.
    missing: &'static str,
}

const fn check(
    keys: &'static str,
    variant: &'static str,
    beginning: &'static [u8],
    missing: &'static str,
) -> Check {
    Check { keys, variant, beginning, missing }
}

const fn tls(keys: &'static str, variant: &'static str) -> Check {
    // RFC 8446: the beginnings of a record of 16 KiB and of a ServerHello within it.
    check(keys, variant, b"\x16\x03\x03\x40\0\x02\0\x3f\xfc", "TLS handshake not complete after 0 bytes")
}

const HTTP: &[u8] = b"HTTP/1.1 200 OK\r\nX: ";
/// RFC 9113: SETTINGS, and the beginning of HEADERS.
const HTTP2: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\x3e\x80\x01\x04\0\0\0\x01";
const SIP: &[u8] = b"SIP/2.0 200 OK\r\nX: ";
/// RFC 4511: the beginning of a message of 16 KiB.
const LDAP: &[u8] = b"\x30\x82\x40\0";

const CHECKS: [Check; 30] = [
    check("type = \"http\"", "", HTTP, "no answer"),
    check("type = \"http\"\nversion = \"2\"", "HTTP/2", HTTP2, "no answer"),
    check("type = \"http\"\ntunnel = \"www.example:80\"", "through a proxy", HTTP, "no answer to CONNECT"),
    tls("type = \"https\"", ""),
    check(
        "type = \"dns\"\nquery = \"www.example\"\ntransport = \"tcp\"",
        "TCP",
        b"",
        "no answer to A www.example. over TCP",
    ),
    tls("type = \"dns\"\nquery = \"www.example\"\ntransport = \"tls\"", "TLS"),
    check("type = \"smtp\"", "", b"", "no greeting"),
    tls("type = \"smtp\"\ntls = \"implicit\"", "TLS"),
    check("type = \"submission\"", "", b"", "no greeting"),
    check("type = \"imap\"", "", b"", "no greeting"),
    check("type = \"pop3\"", "", b"", "no greeting"),
    check("type = \"ftp\"", "", b"", "no greeting"),
    check("type = \"nntp\"", "", b"", "no greeting"),
    check("type = \"sieve\"", "", b"", "no greeting"),
    check("type = \"redis\"", "", b"+", "no answer to PING"),
    check("type = \"memcached\"", "", b"V", "no answer to version"),
    check(
        "type = \"dialogue\"\nsteps = { send = \"hello\", expect = \"^hi\" }",
        "",
        b"",
        "no answer in step 1",
    ),
    check("type = \"mysql\"\nuser = \"me\"", "", b"", "no greeting"),
    check("type = \"postgres\"\nuser = \"me\"", "", b"", "no answer to the login"),
    check(
        "type = \"postgres\"\nuser = \"me\"\ntls = \"starttls\"",
        "STARTTLS",
        b"",
        "no answer to the request for TLS",
    ),
    check("type = \"ldap\"", "", LDAP, "no answer to the bind"),
    check("type = \"ldap\"\ntls = \"starttls\"", "STARTTLS", LDAP, "no answer to STARTTLS"),
    tls("type = \"ldap\"\ntls = \"implicit\"", "TLS"),
    check("type = \"grpc\"", "", HTTP2, "no answer"),
    tls("type = \"grpc\"\ntls = \"implicit\"", "TLS"),
    check("type = \"websocket\"", "", HTTP, "no answer to the handshake"),
    tls("type = \"websocket\"\ntls = \"implicit\"", "TLS"),
    check("type = \"mqtt\"", "", b"", "no answer to CONNECT"),
    check("type = \"sip\"\ntransport = \"tcp\"", "TCP", SIP, "no answer to OPTIONS"),
    tls("type = \"sip\"\ntransport = \"tls\"", "TLS"),
];

const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(10);

impl Check {
    async fn outcome(self, timeout: Duration, case: &str, address: SocketAddr) -> String {
        let comma = if self.variant.is_empty() { "" } else { ", " };
        outcome_within(timeout, &format!("{case}{comma}{}", self.variant), address, self.keys).await
    }
}

/// Runs all checks at the same time, for `outcome` to look at what came of each.
async fn all<F>(
    timeout: Duration,
    case: &'static str,
    server: impl Fn(Check) -> F,
    judge: impl Fn(Check, &str),
) where
    F: Future<Output = SocketAddr>,
{
    let mut running = Vec::new();
    for check in CHECKS {
        let address = server(check).await;
        running.push((check, tokio::spawn(async move { check.outcome(timeout, case, address).await })));
    }
    for (check, outcome) in running {
        judge(check, &outcome.await.unwrap());
    }
}

/// Writes `head` and then `bytes` again and again, a piece each `pause`, and reads whatever comes. Counts the bytes that
/// it could write.
async fn flooding(
    head: &'static [u8],
    bytes: &'static [u8],
    pause: Duration,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let written = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&written);
    let serve = move |stream: TcpStream| {
        let counter = Arc::clone(&counter);
        async move {
            let (mut reading, mut writing) = stream.into_split();
            let write = async {
                let _ = writing.write_all(head).await;
                let mut at = 0;
                while let Ok(size @ 1..) = writing.write(&bytes[at..]).await {
                    at = (at + size) % bytes.len();
                    counter.fetch_add(size, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                }
            };
            let mut sink = tokio::io::sink();
            let _ = tokio::join!(write, tokio::io::copy(&mut reading, &mut sink));
        }
    };
    (server::start(serve).await, written)
}

#[tokio::test]
async fn refused() {
    let server = |_| async { free_port() };
    all(LATER, "refused", server, |_, text| assert_eq!(text, "connection refused")).await;
}

#[tokio::test]
async fn silent() {
    let address = server::silent().await;
    all(
        SOON,
        "silent",
        |_| async move { address },
        |check, text| {
            assert_eq!(text, format!("timed out in answer: {} within 1s", check.missing));
        },
    )
    .await;
}

/// One byte at a time must not prolong the deadline.
#[tokio::test]
async fn dripping() {
    let start = tokio::time::Instant::now();
    let server = |check: Check| async move { flooding(check.beginning, b"2", SOON * 2 / 5).await.0 };
    all(SOON, "dripping", server, |check, text| {
        // There is only one right byte, and this is not it.
        if check.variant == "STARTTLS" && check.beginning.is_empty() {
            assert!(text.starts_with("wrong answer: "), "{text}");
        } else {
            assert!(text.starts_with("timed out in answer: "), "{text}");
            assert!(text.contains(" not complete after "), "{text}");
        }
    })
    .await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// What the kernel's buffers hold of an endless answer, and little more.
const TAKEN: usize = 32 << 20;

/// An answer without end, as one of a gigabyte is to whoever does not read it, is not kept and not waited for.
#[tokio::test]
async fn endless() {
    static LINE: [u8; 64 << 10] = [b'2'; 64 << 10];
    for check in CHECKS {
        let (address, written) = flooding(b"", &LINE, Duration::ZERO).await;
        let text = check.outcome(LATER, "endless", address).await;
        assert!(text.starts_with("wrong answer: ") || text.starts_with("TLS failed: "), "{text}");
        assert!(text.len() < 400, "{text}");
        let written = written.load(Ordering::Relaxed);
        assert!(written < TAKEN, "{written} bytes were taken by {}", check.keys);
    }
}

/// The same where each part of it is right.
#[tokio::test]
async fn endless_and_well_formed() {
    // RFC 4511: a BindResponse, and entries without a name to the second request.
    const BOUND: &[u8] = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0\x04\0\x04\0";
    // A greeting, OK to the login, 4095 columns; and the longest description of one.
    const COLUMNS: &[u8] = b"\x45\0\0\0\x0a8\0\x01\0\0\0ssssssss\0\xff\xff\x21\x02\0\xff\xff\x15\
        \0\0\0\0\0\0\0\0\0\0ssssssssssss\0mysql_native_password\0\x01\0\0\x02\0\x03\0\0\x01\xfc\xff\x0f";
    static COLUMN: [u8; 4 + (0xff << 8)] = {
        let mut packet = [0; 4 + (0xff << 8)];
        packet[1] = 0xff;
        packet
    };
    // RFC 9113 §6.5 and §6.7.
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0pingping";
    for (check, head, piece, expected) in [
        ("type = \"smtp\"", &b""[..], &b"220-hello\r\n"[..], "wrong answer: the greeting is "),
        ("type = \"imap\"", b"* OK hello\r\n", b"* 1 EXISTS\r\n", "wrong answer: the answer to "),
        (
            "type = \"http\"\nbody = \"never\"",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"0123456789abcdef",
            "wrong answer: 200 OK, but \"never\" does not match in the first 65536 bytes of the body: ",
        ),
        (
            "type = \"http\"",
            b"HTTP/1.1 200 OK\r\n",
            b"X-A: 0123456789\r\n",
            "wrong answer: the answer is not HTTP/1: ",
        ),
        (
            "type = \"http\"\nversion = \"2\"",
            SETTINGS,
            PING,
            "wrong answer: the answer is larger than 131072 bytes; it begins with ",
        ),
        (
            "type = \"grpc\"",
            SETTINGS,
            PING,
            "wrong answer: the answer is larger than 139264 bytes; it begins with ",
        ),
        (
            "type = \"http\"\ntunnel = \"www.example:80\"",
            b"HTTP/1.1 200 OK\r\n",
            b"X-A: 0123456789\r\n",
            "wrong answer: the answer to CONNECT has more than 65536 bytes",
        ),
        (
            "type = \"websocket\"",
            b"",
            b"HTTP/1.1 103 Early Hints\r\n\r\n",
            "wrong answer: there are only provisional answers to the handshake",
        ),
        (
            "type = \"ldap\"\nbase = \"\"",
            BOUND,
            b"\x30\x09\x02\x01\x02\x64\x04\x04\0\x30\0",
            "wrong answer: the search does not end, although few entries were asked for",
        ),
        (
            "type = \"mysql\"\nuser = \"me\"\nquery = \"SELECT 1\"",
            COLUMNS,
            &COLUMN,
            "wrong answer: the answer to the query describes its columns in more than 1048576 bytes",
        ),
        (
            "type = \"postgres\"\nuser = \"me\"",
            b"",
            b"N\0\0\0\x05\0",
            "wrong answer: the answer to the login is a message that has no place there",
        ),
    ] {
        let many: &'static [u8] = piece.repeat(1 + (64 << 10) / piece.len()).leak();
        let (address, written) = flooding(head, many, Duration::ZERO).await;
        let text = outcome_within(LATER, "endless, but well formed", address, check).await;
        assert!(text.starts_with(expected), "{text}");
        let written = written.load(Ordering::Relaxed);
        assert!(written < TAKEN, "{written} bytes were taken by {check}");
    }
}

#[tokio::test]
async fn closing() {
    let address = server::start(|stream| async move { drop(stream) }).await;
    all(
        LATER,
        "closing",
        |_| async move { address },
        |check, text| {
            let by = text.strip_prefix("connection reset: ").unwrap_or_else(|| panic!("{text}"));
            assert!(by.ends_with(&format!("by the server: {}", check.missing)), "{text}");
        },
    )
    .await;
}
