//! DNS checks against unbound, which serves names of the test's own and asks nobody else.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_integration::peer::{self, Peer};
use tidegate_integration::pki::Authority;
use tidegate_integration::sockets::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::datagrams::answering;
use crate::server;
use crate::written::{certificate, outcome, outcome_within};

/// Its name servers' addresses: in clear text over UDP and TCP, and inside TLS with a certificate of `authority`.
fn unbound(authority: &Authority) -> (Peer, SocketAddr, SocketAddr) {
    let (clear, tls) = (free_port(), free_port());
    let directory = peer::directory();
    let leaf = certificate(authority, directory.path());
    let large: String =
        (0..20).map(|i| format!("local-data: 'large.example. TXT \"{i:02}{}\"'\n", "x".repeat(60))).collect();
    let configuration = format!(
        r#"server:
            directory: "{}"
            chroot: ""
            username: ""
            pidfile: ""
            use-syslog: no
            do-daemonize: no
            interface: 127.0.0.1@{}
            interface: 127.0.0.1@{}
            tls-port: {}
            tls-service-pem: "{}"
            tls-service-key: "{}"
            module-config: "iterator"
            local-zone: "." static
            local-zone: "refused.example." refuse
            local-zone: "example." static
            local-data: "example. SOA ns.example. root.example. 7 3600 600 86400 60"
            local-data: "example. NS ns.Example."
            local-data: "example. MX 10 mail.example."
            local-data: "www.example. A 192.0.2.1"
            local-data: "www.example. A 192.0.2.2"
            local-data: "www.example. AAAA 2001:db8::1"
            local-data: "_sip._udp.example. SRV 1 2 5060 sip.example."
            local-data: 'text.example. TXT "two " "parts"'
            local-data: "1.2.0.192.in-addr.arpa. PTR www.example."
            local-data: "alias.example. CNAME www.example."
            local-data: 'odd.example. TYPE65280 \# 2 abcd'
            {large}"#,
        directory.path().display(),
        clear.port(),
        tls.port(),
        tls.port(),
        leaf.certificate.display(),
        leaf.key.display(),
    );
    std::fs::write(directory.path().join("unbound.conf"), configuration).unwrap();
    let peer = Peer::start("unbound", "unbound", &["-d", "-p", "-c", "unbound.conf"], directory, clear);
    (peer, clear, tls)
}

fn dns(query: &str, keys: &str) -> String {
    format!("type = \"dns\"\nquery = \"{query}\"\n{keys}")
}

#[tokio::test]
async fn right() {
    let (_unbound, address, _) = unbound(&Authority::new());
    for (query, keys, said) in [
        ("www.example", "", "2 A records"),
        ("WWW.eXample.", "all_of = [\"192.0.2.2\", \"192.0.2.1\"]", "2 A records"),
        ("www.example", "any_of = [\"192.0.2.2\", \"192.0.2.3\"]", "2 A records"),
        ("www.example", "within = [\"10.0.0.0/8\", \"192.0.2.0/30\"]", "2 A records"),
        ("www.example", "record = \"AAAA\"\nall_of = \"2001:db8:0::1\"", "1 AAAA record"),
        ("example", "record = \"NS\"\nall_of = \"ns.example\"", "1 NS record"),
        ("example", "record = \"MX\"\nall_of = \"10 mail.example.\"", "1 MX record"),
        (
            "example",
            "record = \"SOA\"\nany_of = \"ns.example. root.example. 7 3600 600 86400 60\"",
            "1 SOA record",
        ),
        ("_sip._udp.example", "record = \"SRV\"\nany_of = \"1 2 5060 sip.example\"", "1 SRV record"),
        ("text.example", "record = \"TXT\"\nany_of = \"two parts\"", "1 TXT record"),
        ("1.2.0.192.in-addr.arpa", "record = \"PTR\"\nany_of = \"www.example\"", "1 PTR record"),
        ("odd.example", "record = \"TYPE65280\"\nany_of = '\\# 2 abcd'", "1 TYPE65280 record"),
        ("alias.example", "record = \"CNAME\"\nany_of = \"www.example\"", "1 CNAME record"),
        ("www.example", "record = \"TXT\"\nmin_answers = 0", "0 TXT records"),
        // Not within 512 bytes: over TCP then.
        ("large.example", "record = \"TXT\"\nmin_answers = 20\nrecursion = false", "20 TXT records"),
    ] {
        for transport in ["udp", "tcp"] {
            let keys = dns(query, &format!("transport = \"{transport}\"\n{keys}"));
            let text = outcome("right", address, &keys).await;
            assert_eq!(text, format!("passed: NOERROR, {said}"), "{keys}");
        }
    }
    let missing = dns("nobody.example", "rcode = [\"NXDOMAIN\", \"REFUSED\"]");
    assert_eq!(outcome("right", address, &missing).await, "passed: NXDOMAIN");
}

#[tokio::test]
async fn wrong() {
    let (_unbound, address, _) = unbound(&Authority::new());
    for (query, keys, said) in [
        ("nobody.example", "", "NXDOMAIN instead of NOERROR"),
        ("www.refused.example", "", "REFUSED instead of NOERROR"),
        ("www.example", "rcode = \"3\"", "NOERROR instead of NXDOMAIN"),
        ("text.example", "", "NOERROR, 0 A records instead of at least 1"),
        ("www.example", "min_answers = 3", "NOERROR, 2 A records instead of at least 3"),
        (
            "www.example",
            "any_of = \"192.0.2.9\"",
            r#"NOERROR, 2 A records, but none of them is "192.0.2.9": "192.0.2.1", "192.0.2.2""#,
        ),
        (
            "www.example",
            "all_of = [\"192.0.2.1\", \"192.0.2.9\"]",
            r#"NOERROR, 2 A records, but "192.0.2.9" is missing: "192.0.2.1", "192.0.2.2""#,
        ),
        (
            "www.example",
            "within = \"192.0.2.1/32\"",
            r#"NOERROR, 2 A records, but "192.0.2.2" is not within 192.0.2.1/32: "192.0.2.1", "192.0.2.2""#,
        ),
        (
            "www.example",
            "record = \"TXT\"\nmin_answers = 0\nall_of = \"x\"",
            r#"NOERROR, 0 TXT records, but "x" is missing: no records"#,
        ),
    ] {
        assert_eq!(outcome("wrong", address, &dns(query, keys)).await, format!("wrong answer: {said}"));
    }
}

#[tokio::test]
async fn over_tls() {
    let authority = Authority::new();
    let (_unbound, clear, tls) = unbound(&authority);
    let file = authority.certificate().display();
    let keys = dns("www.example", &format!("transport = \"tls\"\nca_file = \"{file}\""));
    assert_eq!(outcome("right", tls, &keys).await, "passed: NOERROR, 2 A records");
    let named = format!("{keys}\nsni = \"ns.example\"");
    let text = outcome("wrong name", tls, &named).await;
    assert!(text.starts_with("TLS failed: the certificate is not for \"ns.example\""), "{text}");
    let text = outcome_within(Duration::from_millis(500), "clear text", clear, &keys).await;
    assert_eq!(text, "timed out in answer: TLS handshake not complete after 0 bytes within 500ms");
    assert_eq!(outcome("refused", free_port(), &keys).await, "connection refused");
}

/// Whoever guesses the port cannot speak for the server, and the server's own answer still counts.
#[tokio::test]
async fn answers_to_something_else() {
    let forged: fn(&[u8]) -> Vec<u8> = |query| {
        let mut answer = query.to_vec();
        answer[0] ^= 1;
        answer[2] |= 0x80;
        answer
    };
    let other_name: fn(&[u8]) -> Vec<u8> = |query| {
        let mut answer = query.to_vec();
        answer[2] |= 0x80;
        answer[13] = b'x';
        answer
    };
    let echo: fn(&[u8]) -> Vec<u8> = <[u8]>::to_vec;
    let keys = dns("www.example", "rcode = \"NOERROR\"\nmin_answers = 0");
    for (made, why) in [
        (forged, "a message with the id "),
        (other_name, "an answer to another question than A www.example."),
        (echo, "a message that is not the answer to a query"),
    ] {
        let address = answering(move |query| vec![made(query)]).await;
        let text = outcome_within(Duration::from_millis(300), "forged", address, &keys).await;
        assert!(text.starts_with(&format!("wrong answer: {why}")), "{text}");

        let real = |query: &[u8]| [&query[..2], &[query[2] | 0x80], &query[3..]].concat();
        let address = answering(move |query| vec![made(query), real(query)]).await;
        assert_eq!(outcome("forged, then right", address, &keys).await, "passed: NOERROR, 0 A records");
    }
}

#[tokio::test]
async fn over_tcp_within_the_deadline() {
    let keys = dns("www.example", "transport = \"tcp\"");
    let quick = Duration::from_millis(500);
    let text = outcome_within(quick, "silent", server::silent().await, &keys).await;
    assert_eq!(text, "timed out in answer: no answer to A www.example. over TCP within 500ms");

    let dripping = server::start(|mut stream| async move {
        let mut query = [0; 31];
        let _ = stream.read_exact(&mut query).await;
        while stream.write_all(&[0xff]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let text = outcome_within(quick, "dripping", dripping, &keys).await;
    assert!(
        text.starts_with("timed out in answer: answer to A www.example. over TCP not complete after "),
        "{text}"
    );

    // UDP says that the answer is truncated, and nobody is there over TCP: the one deadline goes on.
    let truncated = answering(|query| vec![[&query[..2], &[query[2] | 0x82], &query[3..]].concat()]).await;
    let text = outcome("truncated, no TCP", truncated, &dns("www.example", "")).await;
    assert_eq!(text, "connection refused");
}
