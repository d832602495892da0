//! What comes from outside and is not as it should be: neither a connection nor any state is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::director::{Director, Launch};
use tidegate_integration::sockets::{echo, echo_server, free_port, serve};

const PATIENCE: Duration = Duration::from_secs(20);

fn pool(listen: SocketAddr, server: SocketAddr) -> String {
    format!(
        "[[virtual_server]]\nname = \"echo\"\nlisten = \"{listen}\"\n\
         check = {{ type = \"tcp\", interval = \"200ms\" }}\n\
         [[virtual_server.real_server]]\naddress = \"{server}\"\n"
    )
}

/// Sends raw bytes to the control socket and reads until it closes or the patience ends.
fn raw(director: &Director, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(director.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // The director may have answered and closed before it has taken all.
    let _refused_early = stream.write_all(request);
    let mut answer = Vec::new();
    let _reset_after_the_answer = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn requests_on_the_control_socket() {
    let (server, listen) = (echo_server(), free_port());
    let director = Director::start(&pool(listen, server));
    director.wait_for_state("echo", &server.to_string(), "up");
    let mut client = TcpStream::connect(listen).unwrap();
    let big = 10_000_000;

    let body = format!(
        "POST /v1/drain HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {big}\r\n\r\n{}",
        " ".repeat(big)
    );
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("a body of 10 MB", body.into_bytes(), "413"),
        ("a head of 10 MB", format!("GET /{} HTTP/1.1\r\n", "x".repeat(big)).into_bytes(), "4"),
        ("garbage", vec![0xff; 1000], "400"),
        (
            "an unknown path",
            b"GET /v2 HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n".to_vec(),
            "there is no /v2",
        ),
        (
            "a wrong method",
            b"GET /v1/drain HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n".to_vec(),
            "does not take GET",
        ),
        ("no JSON", post("/v1/drain", "{"), "\"error\""),
        (
            "an unknown key",
            post("/v1/drain", r#"{"virtual_server":"echo","real_server":"127.0.0.1:1","x":1}"#),
            "unknown field",
        ),
        (
            "no address",
            post("/v1/weight", r#"{"virtual_server":"echo","real_server":"here","weight":1}"#),
            "socket address",
        ),
    ];
    for (what, request, expected) in cases {
        let answer = raw(&director, &request);
        assert!(answer.starts_with("HTTP/1.1 4") && answer.contains(expected), "{what}: {answer:.500}");
    }

    // Half a line holds nobody up, and is given up in the end.
    let mut half = UnixStream::connect(director.socket()).unwrap();
    half.write_all(b"GET /v1/sta").unwrap();
    director.status();
    half.set_read_timeout(Some(PATIENCE)).unwrap();
    let _answer_or_none =
        half.read_to_end(&mut Vec::new()).expect("the connection is closed by the director");

    echo(&mut client, "hello").unwrap();
    assert_eq!(director.real_server("echo", &server.to_string())["state"], "up");
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[test]
fn a_storm_of_hangups_and_a_vanished_include() {
    let (server, listen) = (echo_server(), free_port());
    let director = Director::start(&pool(listen, server));
    director.wait_for_state("echo", &server.to_string(), "up");
    let mut client = TcpStream::connect(listen).unwrap();

    for _ in 0..500 {
        director.signal("HUP");
        echo(&mut client, "hello").unwrap();
    }
    assert_eq!(director.real_server("echo", &server.to_string())["state"], "up");

    let text = std::fs::read_to_string(director.folder().join("director.toml")).unwrap();
    director.write_raw(&format!("include = [\"gone.toml\"]\n{text}"));
    director.signal("HUP");
    let error = wait_for("the refusal", PATIENCE, || {
        director.status()["director"]["configuration"]["last_error"].as_str().map(str::to_owned)
    });
    assert!(error.contains("director.toml:1:") && error.contains("gone.toml"), "{error}");
    std::fs::remove_file(director.folder().join("director.toml")).unwrap();
    director.signal("HUP");
    wait_for("the other refusal", PATIENCE, || {
        let status = director.status();
        (status["director"]["configuration"]["last_error"].as_str() != Some(&error)).then_some(())
    });
    echo(&mut client, "hello").unwrap();
    echo(&mut TcpStream::connect(listen).unwrap(), "hello").unwrap();
}

#[test]
fn exhausted_descriptors_refuse_new_connections_and_keep_the_living() {
    let (server, listen) = (echo_server(), free_port());
    let director =
        Launch::default().through(&["prlimit", "--nofile=160:160", "--"]).start(&pool(listen, server));
    director.wait_for_state("echo", &server.to_string(), "up");
    let limit =
        usize::try_from(director.status()["director"]["dataplane"]["connection_limit"].as_u64().unwrap())
            .unwrap();
    assert!((1..80).contains(&limit), "derived from 160 descriptors: {limit}");

    let mut living: Vec<_> = (0..limit).map(|_| TcpStream::connect(listen).unwrap()).collect();
    for stream in &mut living {
        echo(stream, "hello").unwrap();
    }
    for _ in 0..50 {
        let refused = TcpStream::connect(listen).and_then(|mut stream| echo(&mut stream, "hello"));
        refused.expect_err("one over the limit is refused at once");
    }
    let status = director.status();
    assert!(status["virtual_servers"][0]["listen"][0]["over_limit"].as_u64().unwrap() >= 50);
    assert_eq!(
        director.real_server("echo", &server.to_string())["state"],
        "up",
        "the checks have their share"
    );
    for stream in &mut living {
        echo(stream, "hello").unwrap();
    }

    drop(living);
    wait_for("room for new connections", PATIENCE, || {
        TcpStream::connect(listen).and_then(|mut stream| echo(&mut stream, "hello")).ok()
    });
}

#[test]
fn garbage_from_a_real_server_is_an_outcome_and_no_more() {
    let server = serve(|mut stream| while stream.write_all(&[0x1b, b'[', 0xff, 0]).is_ok() {});
    let configuration = pool(free_port(), server).replace("\"tcp\"", "\"http\"");
    let director = Director::start(&configuration);

    director.wait_for_state("echo", &server.to_string(), "down");

    let shown = String::from_utf8(director.command(&["status"]).stdout).unwrap();
    assert!(!shown.contains('\u{1b}'), "nothing of the server's reaches the terminal raw: {shown:?}");
}
