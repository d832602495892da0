//! A pool that is asked for more than it can serve, with no number about it in the configuration.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tidegate_integration::clock::{now, wait_for};
use tidegate_integration::director::Director;
use tidegate_integration::peak::{Answers, Clients, Phase, Server, Servers, Site, virtual_server};
use tidegate_integration::sockets::free_port;
use tidegate_integration::web::{Answer, Web};

const PATIENCE: Duration = Duration::from_secs(20);
const SEED: u64 = 7;
const PROTECTED: &str = "overload = { mode = \"protect\" }";

/// Eight servers, together good for 80 requests a second.
fn pool(listen: SocketAddr, check: &str) -> (Servers, Director) {
    let servers = Servers::start(&[Server::default(); 8]);
    let director = Director::start(&virtual_server(listen, servers.addresses(), PROTECTED, check));
    wait_until_up(&director);
    (servers, director)
}

fn wait_until_up(director: &Director) {
    wait_for("all servers to be up", PATIENCE, || {
        real_servers(director).iter().all(|it| it["state"] == "up").then_some(())
    });
}

fn real_servers(director: &Director) -> Vec<Value> {
    director.virtual_server("web")["real_servers"].as_array().unwrap().clone()
}

/// Looks at the weights until the clients are done: no server is taken out, whatever its checks say.
fn watch(director: &Director, clients: JoinHandle<Answers>) -> Answers {
    while !clients.is_finished() {
        std::thread::sleep(Duration::from_millis(500));
        let out = real_servers(director).into_iter().find(|it| it["weight"] == 0);
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
fn a_director_short_of_time_takes_no_server_out() {
    let listen = free_port();
    let (_servers, director) = pool(listen, "");
    let phases = [Phase { rate: 50.0, seconds: 11 }];
    let clients = std::thread::spawn(move || Clients::new(listen).run(&phases, SEED));
    let end = now() + Duration::from_secs(9);
    let cores = std::thread::available_parallelism().unwrap().get();
    for _ in 0..2 * cores {
        std::thread::spawn(move || while now() < end {});
    }
    watch(&director, clients);
}

#[test]
fn a_server_that_dies_in_the_peak_is_out_soon_and_the_others_stay() {
    let listen = free_port();
    let (servers, director) = pool(listen, "");
    let phases = [Phase { rate: 40.0, seconds: 6 }, Phase { rate: 110.0, seconds: 17 }];
    let clients = std::thread::spawn(move || Clients::new(listen).run(&phases, SEED));
    std::thread::sleep(Duration::from_secs(10));
    servers.kill(0);
    let dead = servers.addresses()[0].to_string();
    let is_dead = |it: &Value| it["address"] == dead.as_str();
    let killed = now();
    let mut out = None;
    while !clients.is_finished() {
        let (gone, others): (Vec<_>, Vec<_>) = real_servers(&director).into_iter().partition(is_dead);
        assert!(others.iter().all(|it| it["weight"] == 1), "{others:#?}");
        if gone[0]["weight"] == 0 {
            out.get_or_insert(killed.elapsed());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let answers = clients.join().unwrap();
    println!("out after {out:?}\n{answers}");
    // Three failures, 2 s apart, and a second for each.
    assert!(out < Some(Duration::from_secs(12)) && out.is_some(), "{out:?}");
    assert!(answers.rate(1, 8) > 30.0, "{answers}");
}

#[test]
fn checks_that_a_switch_loses_take_no_server_out_that_serves() {
    let site = Site::start(&[Server::default(); 8]);
    let check = format!("bind = \"{}\"", Site::CHECKS);
    let director =
        site.launch().start(&virtual_server(Site::LISTEN, site.servers().addresses(), PROTECTED, &check));
    wait_until_up(&director);
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| site.run(&[Phase { rate: 50.0, seconds: 24 }], SEED));
        let since = now();
        let (mut lost, mut failed) = (false, false);
        while !clients.is_finished() {
            let lose = (6..18).contains(&since.elapsed().as_secs());
            if lose != lost {
                site.lose_checks(lose);
                lost = lose;
            }
            let pool = real_servers(&director);
            failed |= pool.iter().all(|it| it["state"] == "down");
            assert!(pool.iter().all(|it| it["weight"] == 1), "{pool:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
        let answers = clients.join().unwrap();
        assert!(failed, "no check was lost");
        assert!(answers.rate(0, 6) > 40.0, "{answers}");
    });
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
