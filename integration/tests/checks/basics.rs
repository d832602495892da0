//! The cases of the plainest checks, as an operator writes them; what else there is to them is in files of their own.

use std::time::Duration;

use tidegate_integration::nginx::Nginx;
use tidegate_integration::peer::directory;
use tidegate_integration::pki::{Authority, Validity};
use tidegate_integration::sockets::free_port;
use tokio::io::AsyncWriteExt;

use crate::server;
use crate::written::{outcome, outcome_within};

#[tokio::test]
async fn tcp() {
    assert_eq!(outcome("right", server::silent().await, "type = \"tcp\"").await, "passed");
    assert_eq!(outcome("refused", free_port(), "type = \"tcp\"").await, "connection refused");
}

#[tokio::test]
async fn http_and_https() {
    let authority = Authority::new();
    let (clear, http2, secure, expired) = (free_port(), free_port(), free_port(), free_port());
    let tls = |name: &str, validity| {
        let leaf = authority.issue(name, "DNS:www.example.com", validity);
        format!("ssl_certificate {}; ssl_certificate_key {};", leaf.certificate.display(), leaf.key.display())
    };
    let _nginx = Nginx::start(&format!(
        "server {{ listen {clear}; return 200 'all is well'; }}
         server {{ listen {http2} http2; return 200 'all is well'; }}
         server {{ listen {secure} ssl http2; {} return 200 'all is well'; }}
         server {{ listen {expired} ssl; {} return 200 'all is well'; }}",
        tls("www", Validity::Now),
        tls("old", Validity::Expired),
    ));
    let wrong_digest = format!("body_sha256 = \"{}\"", "0".repeat(64));
    for (case, address, keys, expected) in [
        ("right", clear, "body = \"^all is well$\"", "passed: 200 OK"),
        ("right, HTTP/1.0", clear, "version = \"1.0\"", "passed: 200 OK"),
        ("right, HTTP/2", http2, "version = \"2\"", "passed: 200 OK"),
        ("wrong status", clear, "status = 204", "wrong answer: 200 OK instead of 204"),
        (
            "wrong body",
            clear,
            "body = \"ill\"",
            "wrong answer: 200 OK, but \"ill\" does not match in the first",
        ),
        (
            "wrong digest",
            clear,
            &wrong_digest,
            "wrong answer: 200 OK, but the SHA-256 digest of the body (11 bytes)",
        ),
        ("TLS on this port", secure, "", "wrong answer: 400 Bad Request instead of 200-299"),
    ] {
        let text = outcome(case, address, &format!("type = \"http\"\n{keys}")).await;
        assert!(text.starts_with(expected), "{case}: {text}");
    }
    let ca = format!("ca_file = \"{}\"\nhost = \"www.example.com\"", authority.certificate().display());
    for (case, address, keys, expected) in [
        ("right", secure, ca.clone(), "passed: 200 OK"),
        ("right, HTTP/2", secure, format!("{ca}\nversion = \"2\""), "passed: 200 OK"),
        ("insecure", expired, "insecure = true".to_owned(), "passed: 200 OK"),
        (
            "unknown issuer",
            secure,
            String::new(),
            "TLS failed: the certificate's issuer is none of the roots",
        ),
        (
            "wrong name",
            secure,
            ca.replace("www.", ""),
            "TLS failed: the certificate is not for \"example.com\"",
        ),
        ("expired", expired, ca.clone(), "TLS failed: the certificate "),
        ("no TLS on this port", clear, ca, "TLS failed: the server does not speak TLS"),
    ] {
        let text = outcome(case, address, &format!("type = \"https\"\n{keys}")).await;
        assert!(text.starts_with(expected), "{case}: {text}");
    }
}

#[tokio::test]
async fn file() {
    let directory = directory();
    let path = directory.path().join("weight");
    let address = free_port();
    for (case, meaning, written, expected) in [
        ("no file", "maintenance", None, "passed"),
        ("no file", "weight", None, "passed"),
        ("right", "weight", Some(" 7\n"), "passed: weight 7"),
        ("wrong", "weight", Some("seven"), "\"seven\" is no weight from 0 to 65535"),
        ("right", "maintenance", Some(""), "is there"),
    ] {
        if let Some(written) = written {
            std::fs::write(&path, written).unwrap();
        }
        let check = format!("type = \"file\"\npath = \"{}\"\nmeaning = \"{meaning}\"", path.display());
        let text = outcome(&format!("{case}, {meaning}"), address, &check).await;
        assert!(text.ends_with(expected), "{case}: {text}");
    }
}

/// An agent that drips is not heard; one that does not end its line says too much.
#[tokio::test]
async fn agent() {
    let check = "type = \"agent\"\nport = 1";
    let dripping = server::start(|mut stream| async move {
        while stream.write_all(b"u").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    let text = outcome_within(Duration::from_millis(500), "dripping", dripping, check).await;
    assert!(
        text.starts_with("not run: the agent was not heard: line from the agent not complete after "),
        "{text}"
    );
    let endless =
        server::start(|mut stream| async move { while stream.write_all(&[b'u'; 4096]).await.is_ok() {} });
    let text = outcome("endless", endless.await, check).await;
    assert_eq!(text, "wrong answer: the line from the agent has more than 1024 bytes");
}
