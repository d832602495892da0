//! A reload with a malformed configuration leaves what runs untouched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tidegate_integration::clock::wait_for;
use tidegate_integration::director::Director;
use tidegate_integration::sockets::{echo, echo_server, free_port};

/// What must not change; ages and counters do.
fn essence(status: &Value) -> Value {
    let virtual_servers = status["virtual_servers"].as_array().unwrap().iter().map(|virtual_server| {
        let servers = virtual_server["real_servers"].as_array().unwrap().iter();
        let servers: Vec<_> =
            servers.map(|it| serde_json::json!([it["address"], it["state"], it["weight"]])).collect();
        serde_json::json!([virtual_server["name"], virtual_server["quorum"]["held"], servers])
    });
    serde_json::json!([
        status["director"]["configuration"]["generation"],
        virtual_servers.collect::<Vec<_>>()
    ])
}

#[test]
fn each_leaves_the_running_state_untouched() {
    let server = echo_server();
    let port = free_port();
    let good = format!(
        "[[virtual_server]]\nname = \"echo\"\nlisten = \"{port}\"\n[[virtual_server.real_server]]\naddress = \"{server}\"\n"
    );
    let director = Director::start(&good);
    director.wait_for_state("echo", &server.to_string(), "up");
    let before = essence(&director.status());
    let mut client = TcpStream::connect(port).unwrap();
    echo(&mut client, "before").unwrap();

    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/malformed"));
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == "toml"));
    files.sort();
    assert!(files.len() >= 20, "only {} malformed configurations in {}", files.len(), folder.display());
    let mut last = Value::Null;
    for file in files {
        std::fs::copy(&file, director.folder().join("director.toml")).unwrap();
        director.signal("HUP");
        let status = wait_for(&format!("the refusal of {}", file.display()), Duration::from_secs(10), || {
            let status = director.status();
            let error = &status["director"]["configuration"]["last_error"];
            (error.is_string() && *error != last).then_some(status)
        });
        last = status["director"]["configuration"]["last_error"].clone();
        let expected = std::fs::read_to_string(file.with_extension("expected")).unwrap();
        // The same text as `tidegate check` gives, but for the file's name.
        let first = expected.lines().next().unwrap();
        let place = first.split_once(".toml").expect("a place").1;
        assert!(last.as_str().unwrap().contains(place), "{}: {last}", file.display());
        assert_eq!(essence(&status), before, "{}", file.display());
        echo(&mut client, "meanwhile").unwrap();
        echo(&mut TcpStream::connect(port).unwrap(), "anew").unwrap();
    }

    director.reload(&good);
    assert!(director.status()["director"]["configuration"]["last_error"].is_null());
    echo(&mut client, "afterwards").unwrap();
}
