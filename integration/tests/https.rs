//! HTTPS checks against nginx: what operators read about a certificate, and what becomes of it when it changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tidegate_integration::client::get;
use tidegate_integration::clock::wait_for;
use tidegate_integration::director::Director;
use tidegate_integration::nginx::Nginx;
use tidegate_integration::pki::{Authority, Leaf, Validity};
use tidegate_integration::sockets::free_port;

const PATIENCE: Duration = Duration::from_secs(20);
const NAME: &str = "www.example.com";

/// A server with this certificate, which says in which HTTP version it was asked.
fn tls_server(address: SocketAddr, leaf: &Leaf, further: &str) -> String {
    format!(
        "server {{ listen {address} ssl {further}; ssl_certificate {}; ssl_certificate_key {};
                   location / {{ return 200 \"$server_protocol\"; }} }}\n",
        leaf.certificate.display(),
        leaf.key.display(),
    )
}

/// A virtual server with one real server and an HTTPS check that has these lines of its own.
fn virtual_server(name: &str, server: SocketAddr, lines: &str) -> String {
    format!(
        "[[virtual_server]]\nname = \"{name}\"\nlisten = \"{}\"\n\
         [virtual_server.check]\ntype = \"https\"\nhost = \"{NAME}\"\ninterval = \"500ms\"\nrise = 1\nfall = 2\n{lines}\n\
         [[virtual_server.real_server]]\naddress = \"{server}\"\n",
        free_port(),
    )
}

fn trusting(authority: &Authority) -> String {
    trusting_file(authority.certificate())
}

fn trusting_file(file: &Path) -> String {
    format!("ca_file = \"{}\"\n", file.display())
}

fn reason(director: &Director, name: &str, server: SocketAddr) -> String {
    director.real_server(name, &server.to_string())["reason"].as_str().unwrap().to_owned()
}

#[test]
fn operators_read_what_is_wrong_with_a_certificate() {
    let (authority, other) = (Authority::new(), Authority::named("Other"));
    let san = format!("DNS:{NAME}");
    let servers: Vec<SocketAddr> = (0..5).map(|_| free_port()).collect();
    let [right, expired, wrong_host, clear_text, only_http1] = servers[..] else { unreachable!() };
    let leaf = authority.issue("right", &san, Validity::Now);
    let _nginx = Nginx::start(
        &[
            tls_server(right, &leaf, "http2"),
            tls_server(expired, &authority.issue("expired", &san, Validity::Expired), ""),
            tls_server(wrong_host, &authority.issue("wrong", "DNS:mail.example.com", Validity::Now), ""),
            format!("server {{ listen {clear_text}; }}\n"),
            tls_server(only_http1, &leaf, ""),
        ]
        .concat(),
    );
    let trusted = trusting(&authority);
    // name, server, lines of the check, state, what the reason contains
    let cases = [
        (
            "right",
            right,
            format!("{trusted}body = \"^HTTP/1.1$\""),
            "up",
            "https: first outcome: passed: 200 OK",
        ),
        ("http2", right, format!("{trusted}version = \"2\"\nbody = \"^HTTP/2.0$\""), "up", "passed: 200 OK"),
        (
            "no-http2",
            only_http1,
            format!("{trusted}version = \"2\""),
            "down",
            "it speaks none of the offered protocols",
        ),
        (
            "expired",
            expired,
            trusted.clone(),
            "down",
            "the certificate has expired on Fri, 31 Jan 2020 12:00:00 GMT",
        ),
        (
            "wrong-host",
            wrong_host,
            trusted.clone(),
            "down",
            "the certificate is not for \"www.example.com\": it has \"mail.example.com\"",
        ),
        ("other-name", wrong_host, format!("{trusted}sni = \"mail.example.com\""), "up", "passed"),
        ("unknown", right, trusting(&other), "down", "the certificate's issuer is none of the roots"),
        ("insecure", expired, "insecure = true".to_owned(), "up", "passed"),
        ("clear-text", clear_text, trusted.clone(), "down", "the server does not speak TLS"),
    ];
    let configuration: Vec<_> =
        cases.iter().map(|(name, server, lines, ..)| virtual_server(name, *server, lines)).collect();
    let director = Director::start(&configuration.concat());

    for (name, server, _, state, expected) in &cases {
        director.wait_for_state(name, &server.to_string(), state);
        let reason = reason(&director, name, *server);
        assert!(reason.contains(expected), "{name}: {reason:?} does not contain {expected:?}");
        // The same for people.
        let output = director.command(&["status", name]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains(expected), "{name}:\n{text}");
    }
}

#[test]
fn a_check_recovers_when_the_certificate_is_replaced() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    // Certificate and key at once.
    let install = |name: &str, validity| {
        let issued = authority.issue(name, &format!("DNS:{NAME}"), validity);
        let directory = folder.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        std::fs::copy(issued.certificate, directory.join(format!("{NAME}.pem"))).unwrap();
        std::fs::copy(issued.key, directory.join(format!("{NAME}.key"))).unwrap();
        std::os::unix::fs::symlink(directory, folder.path().join("next")).unwrap();
        std::fs::rename(folder.path().join("next"), folder.path().join("now")).unwrap();
    };
    install("new", Validity::Now);
    let server = free_port();
    // With a variable in their names nginx reads them for each connection.
    let file = |extension| folder.path().join(format!("now/$ssl_server_name.{extension}"));
    let leaf = Leaf { certificate: file("pem"), key: file("key") };
    let _nginx = Nginx::start(&tls_server(server, &leaf, ""));
    let director = Director::start(&virtual_server("web", server, &trusting(&authority)));
    director.wait_for_state("web", &server.to_string(), "up");

    install("expired", Validity::Expired);
    director.wait_for_state("web", &server.to_string(), "down");
    let text = reason(&director, "web", server);
    let expected =
        "https: 2 failures in a row (fall 2), the last: TLS failed: the certificate has expired on ";
    assert!(text.starts_with(expected), "{text}");

    install("renewed", Validity::Now);
    director.wait_for_state("web", &server.to_string(), "up");
    assert_eq!(reason(&director, "web", server), "https: 1 pass (rise 1)");
}

#[test]
fn a_reload_reads_the_roots_anew_and_refuses_those_that_are_gone() {
    let (old, new) = (Authority::named("Old"), Authority::named("New"));
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::copy(new.certificate(), &roots).unwrap();
    let server = free_port();
    let leaf = old.issue("www", &format!("DNS:{NAME}"), Validity::Now);
    let _nginx = Nginx::start(&tls_server(server, &leaf, ""));
    let configuration = virtual_server("web", server, &trusting_file(&roots));
    let director = Director::start(&configuration);
    let address = server.to_string();
    director.wait_for_state("web", &address, "down");

    std::fs::copy(old.certificate(), &roots).unwrap();
    director.reload(&configuration);
    director.wait_for_state("web", &address, "up");
    let generation = director.generation();

    std::fs::remove_file(&roots).unwrap();
    director.signal("HUP");

    let error = wait_for("the refusal", PATIENCE, || {
        director.status()["director"]["configuration"]["last_error"].as_str().map(str::to_owned)
    });
    let text = std::fs::read_to_string(director.folder().join("director.toml")).unwrap();
    let line = 1 + text.lines().position(|line| line.starts_with("ca_file")).unwrap();
    for words in [&format!("director.toml:{line}:11: "), roots.to_str().unwrap(), "No such file"] {
        assert!(error.contains(words), "{words:?} is not in {error}");
    }
    assert!(director.log().contains(&format!("director.toml:{line}:11: ")), "{}", director.log());
    assert_eq!(director.generation(), generation);
    // What runs goes on: the roots were read when it came into force.
    let seen = director.real_server("web", &address)["checks"][0]["outcomes"][0]["times"].as_u64().unwrap();
    let status = wait_for("further checks", PATIENCE, || {
        let status = director.real_server("web", &address);
        let times = status["checks"][0]["outcomes"][0]["times"].as_u64();
        (times >= Some(seen + 2)).then_some(status)
    });
    assert_eq!(status["state"], "up", "{status:#}");

    std::fs::copy(old.certificate(), &roots).unwrap();
    director.reload(&configuration);
    assert!(director.status()["director"]["configuration"]["last_error"].is_null());
}

/// TLS from the client to the real server goes through untouched.
#[test]
fn a_client_speaks_tls_with_the_real_server_itself() {
    let authority = Authority::new();
    let server = free_port();
    let leaf = authority.issue("www", &format!("DNS:{NAME}"), Validity::Now);
    let _nginx = Nginx::start(&tls_server(server, &leaf, "http2"));
    let configuration = virtual_server("web", server, &trusting(&authority));
    let director = Director::start(&configuration);
    director.wait_for_state("web", &server.to_string(), "up");
    let listen: SocketAddr =
        director.virtual_server("web")["listen"][0]["address"].as_str().unwrap().parse().unwrap();

    for version in ["--http1.1", "--http2"] {
        let answer = wait_for("an answer", PATIENCE, || {
            let output = Command::new("curl")
                .args(["--silent", "--show-error", "--max-time", "10", version, "--cacert"])
                .arg(authority.certificate())
                .args(["--resolve", &format!("{NAME}:{}:{}", listen.port(), listen.ip())])
                .arg(format!("https://{NAME}:{}/", listen.port()))
                .output()
                .expect("curl runs (Debian package curl)");
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        });
        assert_eq!(answer, if version == "--http2" { "HTTP/2.0" } else { "HTTP/1.1" });
    }
    assert!(get(listen, "/").is_err(), "clear text is not what nginx expects there");
}

/// A check that cannot be run says nothing about its server: with unusable roots a dead server would stay up.
#[test]
fn a_reload_refuses_roots_that_cannot_be_used() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::copy(authority.certificate(), &roots).unwrap();
    let server = free_port();
    let leaf = authority.issue("www", &format!("DNS:{NAME}"), Validity::Now);
    let nginx = Nginx::start(&tls_server(server, &leaf, ""));
    let director = Director::start(&virtual_server("web", server, &trusting_file(&roots)));
    let address = server.to_string();
    director.wait_for_state("web", &address, "up");

    std::fs::write(&roots, "garbage").unwrap();
    director.signal("HUP");
    let error = wait_for("the refusal", PATIENCE, || {
        director.status()["director"]["configuration"]["last_error"].as_str().map(str::to_owned)
    });
    assert!(error.contains("no certificate in PEM format"), "{error}");

    drop(nginx);
    director.wait_for_state("web", &address, "down");
}
