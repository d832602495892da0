//! What operators do with a running director: status, plan, drain, enable, weight, stop; and the service manager.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use tidegate_integration::clock::{now, wait_for};
use tidegate_integration::director::{Director, Launch, program};
use tidegate_integration::sockets::{free_port, serve};

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers every connection with its name and waits for the client to leave.
fn named_server(name: &'static str) -> SocketAddr {
    serve(move |mut stream| {
        let _client_left = stream.write_all(name.as_bytes());
        let _client_left = stream.read(&mut [0; 1]);
    })
}

fn connect(address: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut name = vec![0; 3];
    stream.read_exact(&mut name).unwrap();
    (stream, String::from_utf8(name).unwrap())
}

fn pool(listen: SocketAddr, servers: &[(SocketAddr, u32)]) -> String {
    let mut text = format!(
        "[[virtual_server]]\nname = \"tcp\"\nlisten = \"{listen}\"\nscheduler = \"wrr\"\n\
         check = {{ type = \"tcp\", interval = \"200ms\" }}\n"
    );
    for (address, weight) in servers {
        text.push_str(&format!(
            "[[virtual_server.real_server]]\naddress = \"{address}\"\nweight = {weight}\n"
        ));
    }
    text
}

fn succeed(director: &Director, words: &[&str]) -> String {
    let output = director.command(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn fail(director: &Director, words: &[&str]) -> String {
    let output = director.command(words);
    assert!(!output.status.success(), "{words:?} succeeds");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn drain_enable_and_weight_move_new_connections_only() {
    let (one, two, listen) = (named_server("one"), named_server("two"), free_port());
    let director = Director::start(&pool(listen, &[(one, 1), (two, 1)]));
    let (first, second) = (one.to_string(), two.to_string());
    director.wait_for_state("tcp", &first, "up");
    director.wait_for_state("tcp", &second, "up");
    let names = |count: usize| (0..count).map(|_| connect(listen).1).collect::<Vec<_>>();
    let mut living = Vec::new();
    while living.iter().all(|(_, name): &(TcpStream, String)| name != "one") {
        living.push(connect(listen));
    }

    assert_eq!(succeed(&director, &["drain", "tcp", &first]).trim(), "drained");
    director.wait_for_state("tcp", &first, "drained");
    wait_for("new connections to avoid it", PATIENCE, || {
        names(10).iter().all(|name| name == "two").then_some(())
    });
    let active = |address: &str| director.real_server("tcp", address)["active"].as_u64().unwrap();
    assert!(active(&first) >= 1, "its live connection goes on");
    assert!(succeed(&director, &["status"]).contains("drained"));

    director.reload(&pool(listen, &[(one, 7), (two, 1)]));
    assert_eq!(director.real_server("tcp", &first)["state"], "drained", "a reload keeps an operator's wish");

    succeed(&director, &["enable", "tcp", &first]);
    succeed(&director, &["weight", "tcp", &first, "3"]);
    let server = director.real_server("tcp", &first);
    assert_eq!((&server["weight"], &server["configured_weight"]), (&3.into(), &7.into()));
    wait_for("both to be in use in proportion", PATIENCE, || {
        (names(40).iter().filter(|name| *name == "one").count() >= 25).then_some(())
    });
    succeed(&director, &["enable", "tcp", &first]);
    assert_eq!(director.real_server("tcp", &first)["weight"], 7);

    drop(living);
    wait_for("no connection to be left", PATIENCE, || (active(&first) + active(&second) == 0).then_some(()));
    assert!(director.real_server("tcp", &first)["bytes_out"].as_u64().unwrap() > 0);
}

#[test]
fn wrong_commands_are_answered_with_what_is_wrong() {
    let (one, listen) = (named_server("one"), free_port());
    let director = Director::start(&pool(listen, &[(one, 1)]));

    assert!(
        fail(&director, &["drain", "web", &one.to_string()]).contains("no virtual server is named \"web\"")
    );
    assert!(fail(&director, &["drain", "tcp", "127.0.0.1:1"]).contains("no real server 127.0.0.1:1"));
    assert!(fail(&director, &["weight", "tcp", &one.to_string(), "65536"]).contains("65535"));
    assert!(fail(&director, &["status", "web"]).contains("no virtual server is named \"web\""));
}

#[test]
fn plan_names_every_change_and_changes_nothing() {
    let (one, two, three, listen) =
        (named_server("one"), named_server("two"), named_server("333"), free_port());
    let director = Director::start(&pool(listen, &[(one, 1), (two, 1)]));
    let file = director.folder().join("director.toml");
    let file = file.to_str().unwrap();
    assert_eq!(succeed(&director, &["plan", file]).trim(), "a reload would change nothing");

    director.write(&pool(listen, &[(one, 5), (three, 1)]).replace("wrr", "rr"));
    let planned = succeed(&director, &["plan", file]);

    for line in [
        format!("~ virtual server tcp, real server {one}: weight 1 -> 5"),
        format!("- virtual server tcp, real server {two}"),
        format!("+ virtual server tcp, real server {three}"),
        "~ virtual server tcp: scheduler wrr -> rr".to_owned(),
    ] {
        assert!(planned.lines().any(|it| it == line), "{line:?} is missing in:\n{planned}");
    }
    assert_eq!(planned.lines().count(), 4, "{planned}");
    assert_eq!(director.generation(), 1);
}

#[test]
fn a_stop_lets_connections_end_and_takes_no_new_ones() {
    let (one, listen) = (named_server("one"), free_port());
    let mut director =
        Launch::default().with_director("shutdown_grace = \"60s\"").start(&pool(listen, &[(one, 1)]));
    director.wait_for_state("tcp", &one.to_string(), "up");
    let (living, _) = connect(listen);

    director.signal("TERM");

    wait_for("the listener to close", PATIENCE, || TcpStream::connect(listen).is_err().then_some(()));
    assert_eq!(director.status()["director"]["stopping"], true);
    drop(living);
    assert!(director.wait(PATIENCE).success());
    assert!(!director.socket().exists());
}

#[test]
fn a_stop_waits_no_longer_than_its_grace_and_a_second_signal_ends_it() {
    let (one, listen) = (named_server("one"), free_port());
    for (grace, signals) in [("500ms", 1), ("600s", 2)] {
        let head = format!("shutdown_grace = \"{grace}\"");
        let mut director = Launch::default().with_director(&head).start(&pool(listen, &[(one, 1)]));
        director.wait_for_state("tcp", &one.to_string(), "up");
        let _living = connect(listen);
        for _ in 0..signals {
            director.signal("TERM");
            std::thread::sleep(Duration::from_millis(300));
        }
        let begin = now();
        assert!(director.wait(PATIENCE).success());
        assert!(now() - begin < PATIENCE);
    }
}

#[test]
fn the_control_socket_is_for_owner_and_group_and_for_one_director() {
    let (one, listen) = (named_server("one"), free_port());
    let director = Director::start(&pool(listen, &[(one, 1)]));
    assert_eq!(std::fs::metadata(director.socket()).unwrap().permissions().mode() & 0o777, 0o660);

    let second = std::process::Command::new(program())
        .arg("run")
        .arg(director.folder().join("director.toml"))
        .output()
        .unwrap();

    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains("another director answers"), "{text}");
    director.status();
}

#[test]
fn an_address_in_use_is_reported_and_served_as_soon_as_it_is_free() {
    let one = named_server("one");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (listen, other) = (taken.local_addr().unwrap(), free_port());
    let configuration =
        pool(listen, &[(one, 1)]) + &pool(other, &[(one, 1)]).replace("\"tcp\"\nlisten", "\"other\"\nlisten");
    let director = Launch::default().with_director("resync_interval = \"500ms\"").start(&configuration);
    director.wait_for_state("other", &one.to_string(), "up");
    wait_for("the other address to be served", PATIENCE, || TcpStream::connect(other).ok());
    let error = || {
        let status = director.status();
        let tcp =
            status["virtual_servers"].as_array().unwrap().iter().find(|it| it["name"] == "tcp").cloned();
        tcp.unwrap()["listen"][0]["error"].clone()
    };
    wait_for("the error", PATIENCE, || {
        error().as_str().is_some_and(|it| it.contains("in use")).then_some(())
    });

    drop(taken);

    wait_for("the address to be served", PATIENCE, || error().is_null().then_some(()));
    assert_eq!(connect(listen).1, "one");
}

#[test]
fn the_service_manager_hears_ready_reloading_watchdog_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = |wanted: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("no {wanted}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line.starts_with(wanted)) {
                return text;
            }
        }
    };
    let (one, listen) = (named_server("one"), free_port());
    let mut director = Launch::default()
        .with_environment("NOTIFY_SOCKET", path.to_str().unwrap())
        .with_environment("WATCHDOG_USEC", "400000")
        .start(&pool(listen, &[(one, 1)]));

    heard("READY=1");
    heard("WATCHDOG=1");
    director.signal("HUP");
    assert!(heard("RELOADING=1").contains("MONOTONIC_USEC="));
    heard("READY=1");

    director.write("oops");
    director.signal("HUP");
    heard("RELOADING=1");
    assert!(heard("READY=1").contains("the last reload was not applied"));

    // Whichever of the two is first: nothing takes the stop back.
    director.signal("HUP");
    director.signal("TERM");
    heard("STOPPING=1");
    assert!(director.wait(PATIENCE).success());
    manager.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(length) = manager.recv(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(!text.contains("READY=1") && !text.contains("RELOADING=1"), "after the stop: {text}");
    }
}

#[test]
fn a_service_manager_that_does_not_read_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let (one, listen) = (named_server("one"), free_port());
    let director = Launch::default()
        .with_environment("NOTIFY_SOCKET", path.to_str().unwrap())
        .with_environment("WATCHDOG_USEC", "2000")
        .start(&pool(listen, &[(one, 1)]));
    let crowd = UnixDatagram::unbound().unwrap();
    crowd.set_nonblocking(true).unwrap();
    while crowd.send_to(b"STATUS=of others", &path).is_ok() {}

    for _ in 0..3 {
        director.reload(&pool(listen, &[(one, 1)]));
    }

    director.wait_for_state("tcp", &one.to_string(), "up");
    assert_eq!(connect(listen).1, "one");
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&buffer).contains("configuration 4") {
        buffer.fill(0);
        manager.recv(&mut buffer).expect("it is told of the last reload");
    }
}

#[test]
fn what_is_fixed_at_the_start_is_named_at_each_reload_and_in_the_plan() {
    let (one, listen) = (named_server("one"), free_port());
    let director = Director::start(&pool(listen, &[(one, 1)]));
    let file = director.folder().join("director.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    director.write_raw(&text.replace("id = \"test\"", "id = \"other\"\nproxy_threads = 3"));
    let planned = |director: &Director| succeed(director, &["plan", file.to_str().unwrap()]);
    let fixed = "~ director: proxy_threads none -> 3 (not before the director is started anew)";
    assert_eq!(planned(&director), format!("~ director: id \"test\" -> \"other\"\n{fixed}\n"));

    for generation in 2..4 {
        director.signal("HUP");
        wait_for("the reload", PATIENCE, || (director.generation() == generation).then_some(()));
    }

    assert_eq!(director.status()["director"]["id"], "other");
    assert_eq!(planned(&director), format!("{fixed}\n"), "it has not been applied, whatever was reloaded");
    let named = || director.log().matches("takes effect when the director is started anew").count();
    wait_for("a warning at each reload", PATIENCE, || (named() == 2).then_some(()));
}

#[test]
fn a_reader_that_has_left_does_not_change_the_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = (folder.path().join("right.toml"), folder.path().join("wrong.toml"));
    std::fs::write(&right, "").unwrap();
    std::fs::write(&wrong, "oops").unwrap();

    for (file, expected) in [(right, 0), (wrong, 2)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut check = std::process::Command::new(program());
        check.arg("check").arg(file).stdout(writer.try_clone().unwrap()).stderr(writer);
        assert_eq!(check.status().unwrap().code(), Some(expected));
    }
}
