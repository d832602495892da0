//! UDP: a real name server behind the director.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::director::{Director, Launch};
use tidegate_integration::dns::{Client, Dnsmasq};
use tidegate_integration::sockets::{free_port, free_port_on};
use tidegate_integration::web::{Answer, Web};

const PATIENCE: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);
const TCP: &str = "check = { type = \"tcp\", interval = \"500ms\", rise = 1, fall = 2 }";

/// Two name servers, each of which answers with its own address.
fn servers() -> [Dnsmasq; 2] {
    [1, 2].map(server)
}

fn server(number: u8) -> Dnsmasq {
    let ip = Ipv4Addr::new(127, 0, 5, number);
    Dnsmasq::start((ip, free_udp_port()).into(), ip)
}

/// A port of all loopback addresses.
fn free_udp_port() -> u16 {
    free_port_on(Ipv4Addr::UNSPECIFIED.into())
}

fn configuration(listen: SocketAddr, lines: &str, servers: &[Dnsmasq; 2]) -> String {
    let mut text = format!(
        "[[virtual_server]]\nname = \"dns\"\nprotocol = \"udp\"\nlisten = \"{listen}\"\nscheduler = \"rr\"\n{lines}\n"
    );
    for server in servers {
        text.push_str(&format!("[[virtual_server.real_server]]\naddress = \"{}\"\n", server.address()));
    }
    text
}

fn start(listen: SocketAddr, lines: &str, servers: &[Dnsmasq; 2]) -> Director {
    let director =
        Launch::default().with_director("proxy_threads = 1").start(&configuration(listen, lines, servers));
    for server in servers {
        director.wait_for_state("dns", &server.address().to_string(), "up");
    }
    wait_for("the first answer", PATIENCE, || Client::new().ask(listen, SECOND).ok());
    director
}

/// A query may be lost once a server has died: clients of UDP ask again.
fn ask_again(client: &mut Client, listen: SocketAddr) -> Ipv4Addr {
    wait_for("an answer", PATIENCE, || client.ask(listen, SECOND / 4).ok())
}

/// A client's server and its position among these.
fn home(client: &mut Client, listen: SocketAddr, servers: &[Dnsmasq]) -> (Ipv4Addr, usize) {
    let answer = client.ask(listen, PATIENCE).unwrap();
    (answer, servers.iter().position(|it| it.address().ip() == answer).unwrap())
}

#[test]
fn a_session_stays_with_its_server_and_hears_from_whom_it_asked() {
    let (servers, listen) = (servers(), SocketAddr::from(([127, 0, 5, 53], free_udp_port())));
    let director = start(listen, TCP, &servers);

    let mut homes = BTreeSet::new();
    let mut clients: Vec<_> = (0..6).map(|_| Client::new()).collect();
    for client in &mut clients {
        let (home, _) = home(client, listen, &servers);
        for _ in 0..5 {
            assert_eq!(client.ask(listen, PATIENCE).unwrap(), home);
        }
        homes.insert(home);
    }
    assert_eq!(homes.len(), 2, "sessions take turns");
    let active: u64 = servers
        .iter()
        .map(|it| director.real_server("dns", &it.address().to_string())["active"].as_u64().unwrap())
        .sum();
    assert!(active >= 6, "{active} sessions");
}

#[test]
fn a_wildcard_answers_from_the_address_that_was_asked() {
    let (servers, port) = (servers(), free_udp_port());
    let director = Director::start(&configuration(SocketAddr::from(([0, 0, 0, 0], port)), TCP, &servers));
    let mut client = Client::new();
    for vip in [[127, 0, 5, 61], [127, 0, 5, 62], [127, 0, 0, 1]] {
        // The client takes no answer from elsewhere.
        ask_again(&mut client, SocketAddr::from((vip, port)));
    }
    assert!(director.virtual_server("dns")["listen"][0]["accepted"].as_u64() >= Some(3));
}

#[test]
fn sessions_leave_a_server_that_died_when_its_host_says_so() {
    let (servers, listen) = (servers(), SocketAddr::from(([127, 0, 5, 53], free_udp_port())));
    // Nothing is checked: only what comes back from the host tells.
    let director = start(listen, "", &servers);
    let mut client = Client::new();
    let (before, at) = home(&mut client, listen, &servers);
    let address = servers[at].address().to_string();
    let mut servers = Vec::from(servers);
    drop(servers.remove(at));

    assert_ne!(ask_again(&mut client, listen), before);
    let status = director.real_server("dns", &address);
    assert_eq!((&status["state"], &status["reason"]), (&"up".into(), &"no checks".into()));
    assert!(status["connect_failures"].as_u64() > Some(0), "{status:#}");
    for _ in 0..6 {
        assert_ne!(ask_again(&mut Client::new(), listen), before);
    }
}

#[test]
fn a_server_whose_check_fails_gets_no_new_sessions_and_none_again_until_it_is_back() {
    let (servers, listen) = (servers(), SocketAddr::from(([127, 0, 5, 53], free_udp_port())));
    let director = start(listen, TCP, &servers);
    let [one, two] = servers;
    let (address, answer) = (one.address(), Ipv4Addr::new(127, 0, 5, 1));
    drop(one);
    director.wait_for_state("dns", &address.to_string(), "down");
    let status = director.real_server("dns", &address.to_string());
    assert_eq!(status["reason"], "tcp: 2 failures in a row (fall 2), the last: connection refused");
    for _ in 0..10 {
        assert_eq!(Client::new().ask(listen, PATIENCE).unwrap(), two.address().ip());
    }

    let _again = Dnsmasq::start(address, answer);
    director.wait_for_state("dns", &address.to_string(), "up");
    wait_for("sessions with the server that is back", PATIENCE, || {
        (Client::new().ask(listen, SECOND).ok() == Some(answer)).then_some(())
    });
}

#[test]
fn sessions_with_a_server_that_went_down_stay_or_move() {
    for (on_down, stays) in [("keep", true), ("reset", false)] {
        let (servers, health) = (servers(), Web::start_on("0.0.0.0:0"));
        let listen = SocketAddr::from(([127, 0, 5, 53], free_udp_port()));
        // One port on all addresses, and at each a health of its own.
        let check = TCP.replace("tcp", "http").replace(
            "fall = 2",
            &format!("fall = 2, path = \"/health\", port = {}", health.address().port()),
        );
        let director = start(listen, &format!("on_down = \"{on_down}\"\n{check}"), &servers);
        let mut client = Client::new();
        let (before, at) = home(&mut client, listen, &servers);

        health.answer_at(before.into(), "/health", Answer::Unavailable);
        director.wait_for_state("dns", &servers[at].address().to_string(), "down");

        let other = servers[1 - at].address().ip();
        wait_for("new sessions with the other only", PATIENCE, || {
            (0..4).all(|_| Client::new().ask(listen, SECOND).ok().is_some_and(|it| other == it)).then_some(())
        });
        let after = client.ask(listen, PATIENCE).unwrap();
        assert_eq!(after == before, stays, "{on_down}");
    }
}

#[test]
fn queries_for_a_dead_pool_are_dropped_and_counted() {
    let (servers, listen) = (servers(), free_port());
    let director = start(listen, TCP, &servers);
    drop(servers);
    wait_for("both to be down", PATIENCE, || {
        (director.virtual_server("dns")["quorum"]["held"] == false).then_some(())
    });
    assert!(Client::new().ask(listen, SECOND).is_err());
    wait_for("it to be counted", PATIENCE, || {
        let dropped = director.virtual_server("dns")["listen"][0]["no_destination"].as_u64();
        (dropped > Some(0)).then_some(())
    });
}

#[test]
fn new_sessions_go_to_the_sorry_server_while_the_quorum_is_lost() {
    let (servers, sorry) = (servers(), server(9));
    let listen = SocketAddr::from(([127, 0, 5, 53], free_udp_port()));
    let lines = format!("{TCP}\nquorum = 2\nsorry_server = \"{}\"", sorry.address());
    let director = start(listen, &lines, &servers);
    let [one, two] = servers;
    let mut client = loop {
        let mut client = Client::new();
        if client.ask(listen, PATIENCE).unwrap() == two.address().ip() {
            break client;
        }
    };

    drop(one);
    wait_for("the sorry server to serve", PATIENCE, || {
        (director.virtual_server("dns")["sorry_server"]["serving"] == true).then_some(())
    });
    wait_for("new sessions with it", PATIENCE, || {
        (Client::new().ask(listen, SECOND).ok()? == sorry.address().ip()).then_some(())
    });
    assert_eq!(client.ask(listen, PATIENCE).unwrap(), two.address().ip(), "a session that lives stays");
}

#[test]
fn persistence_counts_for_all_ports_of_a_client() {
    let (servers, listen) = (servers(), SocketAddr::from(([127, 0, 5, 53], free_udp_port())));
    let _director = start(listen, &format!("{TCP}\npersistence = \"300s\""), &servers);
    let home = Client::new().ask(listen, PATIENCE).unwrap();
    for _ in 0..10 {
        assert_eq!(Client::new().ask(listen, PATIENCE).unwrap(), home);
    }
}

/// A client that keeps its port and asks again and again (a resolver, RADIUS, syslog) must not stay for ever with a
/// server that is known to be dead and answers nothing, not even by ICMP.
#[test]
fn a_session_leaves_a_server_that_is_down_and_silent() {
    let (servers, health) = (servers(), Web::start_on("0.0.0.0:0"));
    let listen = SocketAddr::from(([127, 0, 5, 53], free_udp_port()));
    let check = TCP
        .replace("tcp", "http")
        .replace("fall = 2", &format!("fall = 2, path = \"/health\", port = {}", health.address().port()));
    let director = start(listen, &format!("idle_timeout = \"2s\"\n{check}"), &servers);
    let mut client = Client::new();
    let (before, at) = home(&mut client, listen, &servers);

    servers[at].stop();
    health.answer_at(before.into(), "/health", Answer::Unavailable);
    director.wait_for_state("dns", &servers[at].address().to_string(), "down");
    assert_ne!(ask_again(&mut client, listen), before);
}
