//! A pool that is asked for more than it can serve, with no number about it in the configuration.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::director::Director;
use tidegate_integration::peak::{Answers, Clients, Phase, Server, Servers, virtual_server};
use tidegate_integration::sockets::free_port;
use tidegate_integration::web::{Answer, Web};

const PATIENCE: Duration = Duration::from_secs(20);
const SEED: u64 = 7;
const PROTECTED: &str = "overload = { mode = \"protect\" }";

/// Eight servers, together good for 80 requests a second.
fn pool(listen: SocketAddr, check: &str) -> (Servers, Director) {
    let servers = Servers::start(&[Server::default(); 8]);
    let director = Director::start(&virtual_server(listen, servers.addresses(), PROTECTED, check));
    wait_for("all servers to be up", PATIENCE, || {
        let pool = director.virtual_server("web")["real_servers"].clone();
        pool.as_array().unwrap().iter().all(|it| it["state"] == "up").then_some(())
    });
    (servers, director)
}

/// Looks at the weights until the clients are done: no server is taken out, whatever its checks say.
fn watch(director: &Director, clients: JoinHandle<Answers>) -> Answers {
    while !clients.is_finished() {
        std::thread::sleep(Duration::from_millis(500));
        let pool = director.virtual_server("web")["real_servers"].clone();
        let out = pool.as_array().unwrap().iter().find(|it| it["weight"] == 0);
        assert!(out.is_none(), "{out:#?}");
    }
    let answers = clients.join().unwrap();
    println!("{answers}{}", String::from_utf8_lossy(&director.command(&["status"]).stdout));
    answers
}

#[test]
fn a_pool_survives_its_peak() {
    let listen = free_port();
    let (_servers, director) = pool(listen, "");
    let phase = |rate, seconds| Phase { rate, seconds };
    let phases = [phase(40.0, 6), phase(110.0, 14), phase(60.0, 8)];
    let clients = std::thread::spawn(move || Clients::new(listen).run(&phases, SEED));
    let answers = watch(&director, clients);
    // Without the protection next to nothing is answered from the tenth second of the peak on.
    assert!(answers.rate(1, 8) > 40.0, "{answers}");
    assert!(answers.rate(2, 3) > 40.0, "{answers}");
}

#[test]
fn a_director_that_stood_still_takes_no_server_out() {
    let listen = free_port();
    let (_servers, director) = pool(listen, "");
    let phases = [Phase { rate: 50.0, seconds: 24 }];
    let clients = std::thread::spawn(move || Clients::new(listen).run(&phases, SEED));
    std::thread::sleep(Duration::from_secs(4));
    director.signal("STOP");
    std::thread::sleep(Duration::from_secs(5));
    director.signal("CONT");
    watch(&director, clients);
}

#[test]
fn checks_that_time_out_take_no_server_out_that_serves() {
    let listen = free_port();
    let checked = Web::start();
    let (_servers, director) = pool(listen, &format!("connect_to = \"{}\"", checked.address()));
    let phases = [Phase { rate: 50.0, seconds: 25 }];
    let clients = std::thread::spawn(move || Clients::new(listen).run(&phases, SEED));
    let mended = std::thread::spawn(move || {
        // Until it is known how long a connection takes when none waits.
        std::thread::sleep(Duration::from_secs(10));
        checked.answer("/health", Answer::Hang);
        std::thread::sleep(Duration::from_secs(12));
        checked.answer("/health", Answer::Ok);
    });
    let answers = watch(&director, clients);
    mended.join().unwrap();
    assert!(answers.rate(0, 10) > 40.0, "{answers}");
}
