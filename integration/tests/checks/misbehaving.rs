//! Servers that are broken in the ways that all can be, for every type of check that talks over TCP.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_integration::sockets::free_port;
use tokio::io::AsyncWriteExt;

use crate::server;
use crate::written::outcome_within;

/// A check of each type, and what is missing when the server says nothing.
const CHECKS: [(&str, &str); 13] = [
    ("type = \"mysql\"\nuser = \"me\"", "no greeting"),
    ("type = \"postgres\"\nuser = \"me\"", "no answer to the login"),
    ("type = \"mqtt\"", "no answer to CONNECT"),
    ("type = \"sip\"\ntransport = \"tcp\"", "no answer to OPTIONS"),
    ("type = \"smtp\"", "no greeting"),
    ("type = \"imap\"", "no greeting"),
    ("type = \"pop3\"", "no greeting"),
    ("type = \"ftp\"", "no greeting"),
    ("type = \"nntp\"", "no greeting"),
    ("type = \"sieve\"", "no greeting"),
    ("type = \"redis\"", "no answer to PING"),
    ("type = \"memcached\"", "no answer to version"),
    ("type = \"dialogue\"\nsteps = { send = \"hello\", expect = \"^hi\" }", "no answer in step 1"),
];

const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(10);

/// Writes `bytes` again and again, a piece each `pause`.
async fn flooding(bytes: &'static [u8], pause: Duration) -> SocketAddr {
    server::start(move |mut stream| async move {
        while stream.write_all(bytes).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
    })
    .await
}

#[tokio::test]
async fn refused() {
    for (check, _) in CHECKS {
        assert_eq!(outcome_within(LATER, "refused", free_port(), check).await, "connection refused");
    }
}

#[tokio::test]
async fn silent() {
    let address = server::silent().await;
    for (check, missing) in CHECKS {
        let text = outcome_within(Duration::from_millis(300), "silent", address, check).await;
        assert_eq!(text, format!("timed out in answer: {missing} within 300ms"));
    }
}

/// One byte at a time must not prolong the deadline.
#[tokio::test]
async fn dripping() {
    let address = flooding(b"2", Duration::from_millis(50)).await;
    for (check, _) in CHECKS {
        let start = tokio::time::Instant::now();
        let text = outcome_within(SOON, "dripping", address, check).await;
        assert!(start.elapsed() < Duration::from_secs(5), "{text} after {:?}", start.elapsed());
        assert!(text.starts_with("timed out in answer: ") || text.starts_with("wrong answer: "), "{text}");
    }
}

/// An answer without end is not kept, and not waited for.
#[tokio::test]
async fn endless() {
    static LINE: [u8; 64 << 10] = [b'2'; 64 << 10];
    let address = flooding(&LINE, Duration::ZERO).await;
    for (check, _) in CHECKS {
        let text = outcome_within(LATER, "endless", address, check).await;
        assert!(text.starts_with("wrong answer: "), "{text}");
        assert!(text.len() < 400, "{text}");
    }
}

#[tokio::test]
async fn closing() {
    let address = server::start(|stream| async move { drop(stream) }).await;
    for (check, missing) in CHECKS {
        let text = outcome_within(LATER, "closing", address, check).await;
        let by = text.strip_prefix("connection reset: ").unwrap_or_else(|| panic!("{text}"));
        assert!(by.ends_with(&format!("by the server: {missing}")), "{text}");
    }
}
