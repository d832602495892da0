//! Who gets the next connection.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tidegate_integration::client::{Kept, get};
use tidegate_integration::clock::{now, wait_for};
use tidegate_integration::sockets::{connect_from, free_port};
use tidegate_integration::web::{Answer, Web};

use crate::{
    CHECK, PATIENCE, fall_ill, real_server, recover, shares, start, virtual_server, wait_for_servers, web,
};

/// Who answers a client that comes from this address.
fn ask_from(source: &str, listen: SocketAddr) -> SocketAddr {
    let stream = connect_from(source.parse::<IpAddr>().unwrap(), listen).unwrap();
    Kept::over(stream).unwrap().get().unwrap().parse().unwrap()
}

#[test]
fn slow_start_raises_the_share_of_a_server_that_came_back() {
    let (pool, listen) = ([Web::start(), Web::start()], free_port());
    let lines = "scheduler = \"wrr\"\nslow_start = \"6s\"";
    let director = start(&web(listen, lines, &pool).replace("weight = 10", "weight = 100"), &pool);
    let [one, two] = &pool;
    let weight = || real_server(&director, one)["weight"].as_u64().unwrap();
    assert_eq!(weight(), 100, "no ramp for a server that was never down");
    fall_ill(&director, one);
    wait_for_servers(listen, &[two]);

    one.answer("/health", Answer::Ok);

    // Each round counts only when the weight was about the same before and after it.
    let mut rounds = Vec::new();
    wait_for("the whole weight", PATIENCE, || {
        let before = weight();
        let share = shares(listen, 60).get(&one.address()).copied().unwrap_or_default();
        let after = weight();
        rounds.push((before, share, after));
        (before == 100).then_some(())
    });
    assert!(rounds.windows(2).all(|pair| pair[0].2 <= pair[1].0), "a weight fell: {rounds:?}");
    let steady: Vec<_> =
        rounds.iter().filter(|(before, _, after)| *before > 0 && after - before <= 20).collect();
    assert!(steady.iter().any(|(before, ..)| (1..80).contains(before)), "no ramp: {rounds:?}");
    for (before, share, after) in steady {
        let expected = |weight: &u64| 60.0 * *weight as f64 / (*weight as f64 + 100.0);
        let range = expected(before) - 4.0..=expected(after) + 4.0;
        assert!(range.contains(&(*share as f64)), "{share} of 60 at weights {before} to {after}: {rounds:?}");
    }
    assert_eq!(director.virtual_server("web")["quorum"]["sum"], 200);
}

#[test]
fn persistence_keeps_a_network_with_its_server() {
    let (pool, listen) = ([Web::start(), Web::start()], free_port());
    let lines = "scheduler = \"rr\"\npersistence = { timeout = \"3s\", prefix_v4 = 24 }";
    let director = start(&web(listen, lines, &pool), &pool);

    let begin = now();
    let first = ask_from("127.0.1.1", listen);
    let same: Vec<_> = (2..12).map(|host| ask_from(&format!("127.0.1.{host}"), listen)).collect();
    if now() - begin < Duration::from_secs(3) {
        assert_eq!(same, vec![first; 10], "one network, one server");
    }
    let networks: BTreeSet<_> =
        (2..6).map(|network| ask_from(&format!("127.0.{network}.1"), listen)).collect();
    assert_eq!(networks.len(), 2, "other networks take turns");

    // Forgotten after the timeout: of two newcomers in turn one gets another server than before.
    let before = [ask_from("127.0.1.1", listen), ask_from("127.0.2.1", listen)];
    std::thread::sleep(Duration::from_millis(3500));
    ask_from("127.0.9.1", listen);
    let after = [ask_from("127.0.1.1", listen), ask_from("127.0.2.1", listen)];
    assert_eq!(BTreeSet::from(after).len(), 2, "two newcomers in turn after {before:?}");

    let server = pool.iter().find(|it| it.address() == ask_from("127.0.1.1", listen)).unwrap();
    fall_ill(&director, server);
    wait_for("the client to be with the other server", PATIENCE, || {
        (ask_from("127.0.1.1", listen) != server.address()).then_some(())
    });
}

#[test]
fn persistence_outlasts_a_reload() {
    let (pool, listen) = ([Web::start(), Web::start(), Web::start()], free_port());
    let lines = "scheduler = \"rr\"\npersistence = \"300s\"";
    let director = start(&web(listen, lines, &pool), &pool);
    let home = ask_from("127.0.1.1", listen);

    for configuration in [
        web(listen, lines, &pool).replace("weight = 10", "weight = 3"),
        web(listen, &lines.replace("rr", "wlc"), &pool),
        web(listen, &lines.replace("300s", "200s"), &pool),
    ] {
        director.reload(&configuration);
        for _ in 0..5 {
            assert_eq!(ask_from("127.0.1.1", listen), home);
        }
    }
}

#[test]
fn a_source_hash_keeps_clients_with_their_server() {
    let (pool, listen) = ([Web::start(), Web::start(), Web::start()], free_port());
    let director = start(&web(listen, "scheduler = \"sh\"", &pool), &pool);
    let clients: Vec<_> = (1..=30).map(|host| format!("127.0.3.{host}")).collect();
    let placed = || -> BTreeMap<_, _> {
        clients.iter().map(|client| (client.as_str(), ask_from(client, listen))).collect()
    };
    let home = placed();
    assert_eq!(home.values().collect::<BTreeSet<_>>().len(), 3, "{home:?}");
    assert_eq!(placed(), home);

    let server = pool.iter().find(|it| it.address() == home["127.0.3.1"]).unwrap();
    fall_ill(&director, server);
    wait_for("all clients to be with the others", PATIENCE, || {
        placed().into_values().all(|it| it != server.address()).then_some(())
    });
    recover(&director, server);
    wait_for("everybody to be at home again", PATIENCE, || (placed() == home).then_some(()));

    // A server that is full is still the client's own, unless there is a fallback.
    let full =
        |lines: &str| web(listen, lines, &pool).replace("weight = 10", "weight = 10\nmax_connections = 1");
    director.reload(&full("scheduler = \"sh\""));
    let connect = || {
        let mut kept = Kept::over(connect_from("127.0.3.1".parse().unwrap(), listen)?)?;
        kept.get().map(|server| (kept, server))
    };
    let (_living, at) = wait_for("room at the client's server", PATIENCE, || connect().ok());
    assert_eq!(at, server.address().to_string());
    assert!(connect().is_err());
    director.reload(&full("scheduler = \"sh\"\nscheduler_flags = [\"fallback\"]"));
    let (_, other) = wait_for("the client to fall back", PATIENCE, || connect().ok());
    assert_ne!(other, at);
}

#[test]
fn a_server_gets_no_more_connections_than_it_may_have() {
    let (pool, listen) = ([Web::start(), Web::start()], free_port());
    let [capped, other] = &pool;
    let configuration = |other_weight: u32| {
        let lines = ["weight = 1000\nmax_connections = 2".to_owned(), format!("weight = {other_weight}")];
        let servers = [(capped.address(), &*lines[0]), (other.address(), &*lines[1])];
        virtual_server("web", listen, &format!("{CHECK}scheduler = \"wrr\""), &servers)
    };
    let director = start(&configuration(0), &pool);
    let connect = || {
        let mut kept = Kept::connect(listen)?;
        kept.get().map(|server| (kept, server))
    };
    let capped_address = capped.address().to_string();

    let (first, server) = connect().unwrap();
    assert_eq!(server, capped_address);
    let (_second, server) = connect().unwrap();
    assert_eq!(server, capped_address);
    for _ in 0..3 {
        assert!(connect().is_err(), "nobody else may take it");
    }
    assert_eq!(director.virtual_server("web")["listen"][0]["no_destination"], 3);
    assert_eq!(real_server(&director, capped)["active"], 2);

    director.reload(&configuration(1));
    wait_for("the third connection to go to the other", PATIENCE, || {
        get(listen, "/").ok().filter(|server| *server == other.address().to_string())
    });
    drop(first);
    wait_for("room at the first", PATIENCE, || {
        get(listen, "/").ok().filter(|server| *server == capped_address)
    });
}
