use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidegate_checkers::{Body, HttpSpec, HttpVersion, Outcome, Regex, TlsSpec};
use tidegate_integration::nginx::{Nginx, free_port};
use tidegate_integration::pki::{Authority, Leaf, Validity};
use tokio::net::TcpStream;

use crate::network::is_child;
use crate::{ask, ask_for_a_second, get, passed, server, wrong};

/// nginx with a certificate; it answers with what it knows of the connection.
fn nginx(leaf: &Leaf, further: &str) -> (Nginx, SocketAddr) {
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let nginx = Nginx::start(&format!(
        r#"server {{
            listen {address} ssl {further};
            ssl_certificate {}; ssl_certificate_key {};
            location / {{ return 200 "$server_protocol $ssl_server_name $ssl_client_s_dn"; }}
        }}"#,
        leaf.certificate.display(),
        leaf.key.display(),
    ));
    (nginx, address)
}

/// `GET https://www.example.com/`, verified by `authority`.
fn secure(authority: &Authority) -> HttpSpec {
    let tls = TlsSpec { ca_file: Some(authority.certificate().to_owned()), ..TlsSpec::default() };
    HttpSpec { tls: Some(tls), host: Some("www.example.com".to_owned()), ..get() }
}

fn with_tls(spec: &HttpSpec, change: impl FnOnce(&mut TlsSpec)) -> HttpSpec {
    let mut spec = spec.clone();
    change(spec.tls.as_mut().unwrap());
    spec
}

fn saying(expression: &str, spec: HttpSpec) -> HttpSpec {
    HttpSpec { body: Some(Body::Matches(Regex::new(expression).unwrap())), ..spec }
}

fn refused_by_tls(outcome: Outcome) -> String {
    match outcome {
        Outcome::Tls(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn right() {
    let authority = Authority::new();
    let (_nginx, address) = nginx(&authority.issue("www", "DNS:www.example.com", Validity::Now), "");
    let spec = secure(&authority);
    assert_eq!(ask(address, saying("^HTTP/1.1 www.example.com $", spec.clone())).await, passed("200 OK"));
    let with_port = HttpSpec { host: Some("www.example.com:8443".to_owned()), ..spec.clone() };
    assert_eq!(ask(address, saying("1.1 www.example.com $", with_port)).await, passed("200 OK"));
    let http10 = HttpSpec { version: HttpVersion::Http10, ..spec.clone() };
    assert_eq!(ask(address, saying("^HTTP/1.0 www.example.com $", http10)).await, passed("200 OK"));
    let other_name = HttpSpec { host: Some("other.example.com".to_owned()), ..spec };
    let other_name = with_tls(&other_name, |tls| tls.sni = Some("www.example.com".to_owned()));
    assert_eq!(ask(address, saying("1.1 www.example.com $", other_name)).await, passed("200 OK"));
}

#[tokio::test]
async fn an_address_is_verified_and_not_sent() {
    let authority = Authority::new();
    let (_nginx, address) = nginx(&authority.issue("ip", "IP:127.0.0.1", Validity::Now), "");
    let spec = HttpSpec { host: None, ..secure(&authority) };
    assert_eq!(ask(address, saying("^HTTP/1.1  $", spec.clone())).await, passed("200 OK"));

    let (_nginx, address) = nginx(&authority.issue("other", "IP:127.0.0.2", Validity::Now), "");
    let text = refused_by_tls(ask(address, spec).await);
    assert!(text.starts_with("the certificate is not for \"127.0.0.1\": it has "), "{text}");
    assert!(text.contains("127.0.0.2"), "{text}");
}

#[tokio::test]
async fn expired() {
    let authority = Authority::new();
    let (_nginx, address) = nginx(&authority.issue("old", "DNS:www.example.com", Validity::Expired), "");
    let spec = secure(&authority);
    let text = refused_by_tls(ask(address, spec.clone()).await);
    assert_eq!(text, "the certificate has expired on Fri, 31 Jan 2020 12:00:00 GMT");
    assert_eq!(ask(address, with_tls(&spec, |tls| tls.insecure = true)).await, passed("200 OK"));
}

#[tokio::test]
async fn wrong_host() {
    let authority = Authority::new();
    let names = "DNS:one.example.com,DNS:*.example.net";
    let (_nginx, address) = nginx(&authority.issue("one", names, Validity::Now), "");
    let text = refused_by_tls(ask(address, secure(&authority)).await);
    assert!(text.starts_with("the certificate is not for \"www.example.com\": it has "), "{text}");
    assert!(text.ends_with("one.example.com, *.example.net\""), "{text}");
}

#[tokio::test]
async fn unknown_authority() {
    let authority = Authority::new();
    let (_nginx, address) = nginx(&authority.issue("www", "DNS:www.example.com", Validity::Now), "");
    let other = Authority::named("Other");
    let spec = secure(&other);
    let text = refused_by_tls(ask(address, spec.clone()).await);
    assert_eq!(text, "the certificate's issuer is none of the roots");
    assert_eq!(ask(address, with_tls(&spec, |tls| tls.insecure = true)).await, passed("200 OK"));
    // As when an authority was made anew under its old name.
    let text = refused_by_tls(ask(address, secure(&Authority::new())).await);
    assert!(
        text.starts_with("a signature is wrong: the issuer has the name of a root but not its key"),
        "{text}"
    );
}

/// A file stands in for the system's roots, in a child process that has its name in the environment.
#[tokio::test]
async fn system_roots() {
    let directory = tempfile::tempdir().unwrap();
    let variable = format!("SSL_CERT_FILE={}", directory.path().join("roots.pem").display());
    if !is_child(&["env", "SSL_CERT_DIR=", &variable], "tls::system_roots") {
        return;
    }
    let roots = std::env::var_os("SSL_CERT_FILE").unwrap();
    let authority = Authority::new();
    let (_nginx, address) = nginx(&authority.issue("www", "DNS:www.example.com", Validity::Now), "");
    let spec = with_tls(&secure(&authority), |tls| tls.ca_file = None);
    match ask(address, spec.clone()).await {
        Outcome::NotRun(text) => {
            assert!(text.starts_with("the system has no usable root certificates; set ca_file. "), "{text}");
        }
        other => panic!("{other:?}"),
    }
    std::fs::copy(authority.certificate(), roots).unwrap();
    assert_eq!(ask(address, spec).await, passed("200 OK"));
}

#[tokio::test]
async fn client_certificate() {
    let authority = Authority::new();
    let demand =
        format!("; ssl_verify_client on; ssl_client_certificate {}", authority.certificate().display());
    let (_nginx, address) = nginx(&authority.issue("www", "DNS:www.example.com", Validity::Now), &demand);
    let spec = secure(&authority);
    // nginx agrees on TLS and complains inside.
    assert_eq!(wrong(ask(address, spec.clone()).await), "400 Bad Request instead of 200-299");
    let client = authority.issue("client", "DNS:director.example", Validity::Now);
    let given = with_tls(&spec, |tls| tls.client_certificate = Some((client.certificate, client.key)));
    assert_eq!(ask(address, saying("CN=client$", given)).await, passed("200 OK"));
}

#[tokio::test]
async fn http2() {
    let authority = Authority::new();
    let leaf = authority.issue("www", "DNS:www.example.com", Validity::Now);
    let spec = HttpSpec { version: HttpVersion::Http2, ..secure(&authority) };

    let (_nginx, address) = nginx(&leaf, "http2");
    assert_eq!(ask(address, saying("^HTTP/2.0 www.example.com $", spec.clone())).await, passed("200 OK"));
    assert_eq!(ask(address, saying("^HTTP/1.1 ", secure(&authority))).await, passed("200 OK"));

    let (_nginx, address) = nginx(&leaf, "");
    let text = refused_by_tls(ask(address, spec).await);
    assert!(text.contains("NoApplicationProtocol: it speaks none of the offered protocols (ALPN)"), "{text}");
}

/// `openssl s_server` knows no ALPN unless told, and refuses clients without a certificate as TLS means it.
#[tokio::test]
async fn another_implementation() {
    let authority = Authority::new();
    let leaf = authority.issue("www", "DNS:www.example.com", Validity::Now);
    let spec = secure(&authority);

    let (_server, address) = s_server(&leaf, authority.certificate(), &[]).await;
    assert_eq!(ask(address, saying("s_server", spec.clone())).await, passed("200 OK"));
    let http2 = HttpSpec { version: HttpVersion::Http2, ..spec.clone() };
    let text = refused_by_tls(ask(address, http2).await);
    assert_eq!(text, "the server did not agree on HTTP/2 (ALPN \"h2\")");

    let (_server, address) =
        s_server(&leaf, authority.certificate(), &["-Verify", "1", "-verify_return_error"]).await;
    let text = refused_by_tls(ask(address, spec).await);
    assert_eq!(text, "the server ended TLS with alert CertificateRequired: it wants a client certificate");

    let (_server, address) =
        s_server(&leaf, authority.certificate(), &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]).await;
    let text = refused_by_tls(ask(address, secure(&authority)).await);
    assert!(text.contains("ProtocolVersion: it speaks neither TLS 1.2 nor 1.3"), "{text}");
}

/// Killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn s_server(leaf: &Leaf, authority: &Path, further: &[&str]) -> (Server, SocketAddr) {
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let process = Command::new("openssl")
        .args(["s_server", "-www", "-accept", &address.to_string(), "-CAfile"])
        .arg(authority)
        .arg("-cert")
        .arg(&leaf.certificate)
        .arg("-key")
        .arg(&leaf.key)
        .args(further)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl runs (Debian package openssl)");
    let server = Server(process);
    for _ in 0..500 {
        if TcpStream::connect(address).await.is_ok() {
            return (server, address);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("openssl s_server did not start within 10 s");
}

#[tokio::test]
async fn clear_text_and_tls_confused() {
    let authority = Authority::new();
    let (_nginx, address) = nginx(&authority.issue("www", "DNS:www.example.com", Validity::Now), "");
    assert_eq!(wrong(ask(address, get()).await), "400 Bad Request instead of 200-299");

    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let _nginx = Nginx::start(&format!("server {{ listen {address}; }}"));
    let text = refused_by_tls(ask(address, secure(&authority)).await);
    assert_eq!(text, "the server does not speak TLS");
}

#[tokio::test]
async fn a_handshake_without_end() {
    let authority = Authority::new();
    match ask_for_a_second(server::silent().await, secure(&authority)).await {
        Outcome::AnswerTimeout(text) => {
            assert_eq!(text, "TLS handshake not complete after 0 bytes within 1s")
        }
        other => panic!("{other:?}"),
    }
    let closing = server::start(|_| async {}).await;
    match ask(closing, secure(&authority)).await {
        Outcome::Reset(text) => {
            assert!(text.ends_with(": TLS handshake not complete after 0 bytes"), "{text}")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn files_that_cannot_be_used() {
    let authority = Authority::new();
    let (_nginx, address) = nginx(&authority.issue("www", "DNS:www.example.com", Validity::Now), "");
    let spec = secure(&authority);
    let not_run = |outcome| match outcome {
        Outcome::NotRun(text) => text,
        other => panic!("{other:?}"),
    };
    let missing = authority.certificate().with_file_name("missing.pem");
    let text = not_run(ask(address, with_tls(&spec, |tls| tls.ca_file = Some(missing.clone()))).await);
    assert_eq!(text, format!("{}: No such file or directory (os error 2)", missing.display()));

    let one = authority.issue("one", "DNS:one.example", Validity::Now);
    let two = authority.issue("two", "DNS:two.example", Validity::Now);
    let mixed = (one.certificate.clone(), two.key.clone());
    let text = not_run(ask(address, with_tls(&spec, |tls| tls.client_certificate = Some(mixed))).await);
    assert!(text.contains("one.pem") && text.contains("two.key"), "{text}");

    let no_name = HttpSpec { host: Some("under_score..example".to_owned()), ..spec };
    let text = not_run(ask(address, no_name).await);
    assert_eq!(text, "\"under_score..example\" cannot be a name in a certificate");
}
