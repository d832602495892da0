//! What happens to connections.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate_integration::client::{Kept, get};
use tidegate_integration::clock::{now, wait_for};
use tidegate_integration::nginx::Nginx;
use tidegate_integration::sockets::{connect_from, free_port, free_port_on};
use tidegate_integration::web::{Answer, Web};

use crate::{
    CHECK, PATIENCE, fall_ill, recover, start, virtual_server, wait_for_servers, wait_for_state, web,
};

#[test]
fn a_server_that_goes_down_keeps_its_connections_or_loses_them() {
    for (on_down, kept) in [("keep", true), ("reset", false)] {
        let (pool, listen) = ([Web::start(), Web::start()], free_port());
        let lines = format!("scheduler = \"rr\"\non_down = \"{on_down}\"");
        let director = start(&web(listen, &lines, &pool), &pool);
        let mut living: Vec<_> = (0..2).map(|_| Kept::connect(listen).unwrap()).collect();
        let at = living.iter_mut().position(|it| it.get().unwrap() == pool[0].address().to_string()).unwrap();
        let mut with_the_other = living.remove(1 - at);
        let mut with_the_first = living.remove(0);

        fall_ill(&director, &pool[0]);
        wait_for_servers(listen, &[&pool[1]]);

        if kept {
            for _ in 0..10 {
                with_the_first.get().expect("the connection goes on");
                std::thread::sleep(Duration::from_millis(30));
            }
        } else {
            wait_for("the connection to be reset", PATIENCE, || with_the_first.get().is_err().then_some(()));
        }
        with_the_other.get().expect("the other's connections go on");
        recover(&director, &pool[0]);
        wait_for_servers(listen, &[&pool[0], &pool[1]]);
    }
}

/// A real server that says who it thinks its client is, and what reads no PROXY header for the check.
#[test]
fn the_real_server_learns_who_the_client_is() {
    for (version, client, vip) in [
        ("v1", "127.0.4.1", "127.0.0.1"),
        ("v2", "127.0.4.2", "127.0.0.1"),
        ("v1", "::1", "::1"),
        ("v2", "::1", "::1"),
    ] {
        let client: IpAddr = client.parse().unwrap();
        let vip: IpAddr = vip.parse().unwrap();
        let (plain, proxied) = (free_port(), free_port());
        let listen = SocketAddr::new(vip, free_port_on(vip));
        let _nginx = Nginx::start(&format!(
            "server {{ listen {plain}; location / {{ return 200 well; }} }}
             server {{ listen {proxied} proxy_protocol;
                       location / {{ return 200 \"$proxy_protocol_addr $proxy_protocol_port \
                                     $proxy_protocol_server_addr $proxy_protocol_server_port $remote_addr\"; }} }}"
        ));
        let lines = CHECK.replace("fall = 2", &format!("fall = 2, port = {}", plain.port()))
            + &format!("proxy_protocol = \"{version}\"");
        let director = start(&virtual_server("web", listen, &lines, &[(proxied, "")]), &[]);
        director.wait_for_state("web", &proxied.to_string(), "up");

        let (mut connection, own) = wait_for("a connection", PATIENCE, || {
            let stream = connect_from(client, listen).ok()?;
            let own = stream.local_addr().unwrap();
            Some((Kept::over(stream).unwrap(), own))
        });

        let said = connection.get().unwrap();
        let expected = format!("{client} {} {vip} {} 127.0.0.1", own.port(), listen.port());
        assert_eq!(said, expected, "{version}");
        assert_eq!(connection.get().unwrap(), expected, "the header comes once");
    }
}

#[test]
fn a_pool_is_exchanged_as_a_whole_and_no_client_notices() {
    let (pools, sorry, listen) =
        ([[Web::start(), Web::start()], [Web::start(), Web::start()]], Web::start(), free_port());
    let lines = format!("sorry_server = \"{}\"", sorry.address());
    let director = start(&web(listen, &lines, &pools[0]), &pools[0]);
    wait_for("the first answer", PATIENCE, || get(listen, "/").ok());
    let end = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let end = Arc::clone(&end);
            std::thread::spawn(move || {
                let mut answers = Vec::new();
                while !end.load(Ordering::Relaxed) {
                    answers.push(get(listen, "/").map_err(|error| error.to_string()));
                }
                answers
            })
        })
        .collect();
    let mut kept = Kept::connect(listen).unwrap();
    kept.get().unwrap();

    for round in 1..=12 {
        director.reload(&web(listen, &lines, &pools[round % 2]));
        kept.get().expect("a connection outlives its server's place in the pool");
        std::thread::sleep(Duration::from_millis(100));
    }
    // The checks have their say about those that were assumed up.
    wait_for_state(&director, &pools[0][0], "up");
    end.store(true, Ordering::Relaxed);

    let answers: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let failures: Vec<_> = answers.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(failures.is_empty(), "{} of {}: {:?}", failures.len(), answers.len(), failures[0]);
    assert!(answers.len() > 100, "{}", answers.len());
    for server in pools.as_flattened() {
        assert!(answers.contains(&Ok(server.address().to_string())), "{} was never used", server.address());
    }
    assert!(sorry.seen("/").is_empty(), "the quorum was never lost");
}

#[test]
fn a_dead_pool_put_in_place_by_a_reload_gives_way_to_the_sorry_server() {
    let (pool, sorry, listen) = ([Web::start()], Web::start(), free_port());
    let lines = format!("sorry_server = \"{}\"", sorry.address());
    let director = start(&web(listen, &lines, &pool), &pool);
    let ill = [Web::start()];
    ill[0].answer("/health", Answer::Unavailable);

    director.reload(&web(listen, &lines, &ill));

    wait_for_state(&director, &ill[0], "down");
    wait_for_servers(listen, &[&sorry]);
    director.reload(&web(listen, &lines, &pool));
    wait_for_state(&director, &pool[0], "up");
    wait_for_servers(listen, &[&pool[0]]);
}

#[test]
fn a_virtual_server_moves_to_another_address_and_keeps_its_connections() {
    let (pool, before, after) = ([Web::start()], free_port(), free_port());
    let director = start(&web(before, "", &pool), &pool);
    wait_for_servers(before, &[&pool[0]]);
    let mut living = Kept::connect(before).unwrap();
    living.get().unwrap();

    director.reload(&web(after, "", &pool));

    wait_for("the new address", PATIENCE, || get(after, "/").ok());
    wait_for("the old address to be closed", PATIENCE, || get(before, "/").is_err().then_some(()));
    living.get().expect("a connection outlives its listener");
    let status = director.virtual_server("web");
    assert_eq!(status["listen"].as_array().unwrap().len(), 1);
    assert_eq!(status["real_servers"][0]["state"], "up", "what is known of the server is kept");
    assert!(status["real_servers"][0]["active"].as_u64() >= Some(1), "{status:#}");
}

#[test]
fn both_families_on_either_side() {
    let (v4, v6) = (Web::start(), Web::start_on("[::1]:0"));
    let loopback: IpAddr = "::1".parse().unwrap();
    for listen in [SocketAddr::new(loopback, free_port_on(loopback)), free_port()] {
        let pool = [v4.clone(), v6.clone()];
        let director = start(&web(listen, "scheduler = \"rr\"", &pool), &pool);
        wait_for_servers(listen, &[&v4, &v6]);
        fall_ill(&director, &v4);
        wait_for_servers(listen, &[&v6]);
        recover(&director, &v4);
        fall_ill(&director, &v6);
        wait_for_servers(listen, &[&v4]);
        recover(&director, &v6);
    }
}

/// A connection that idles is closed on time, one that is used is not.
#[test]
fn idle_connections_are_closed() {
    let (pool, listen) = ([Web::start()], free_port());
    let _director = start(&web(listen, "idle_timeout = \"2s\"", &pool), &pool);
    let (mut idle, mut used) = (Kept::connect(listen).unwrap(), Kept::connect(listen).unwrap());
    idle.get().unwrap();
    let begin = now();
    while now() - begin < Duration::from_secs(4) {
        used.get().expect("a connection in use goes on");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(idle.get().is_err());
}
