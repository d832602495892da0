//! Datagrams and sessions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use support::*;
use tidegate_proxy::*;

/// Answers each datagram with its name, the sender's port and the datagram.
struct Answerer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Answerer {
    fn new(name: &'static str, address: SocketAddr) -> Answerer {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 65536];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let mut answer = format!("{name} {} ", from.port()).into_bytes();
                    answer.extend(&buffer[..length]);
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        Answerer { address, stop, thread: Some(thread) }
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn client(listen: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(if listen.is_ipv4() { v4(0) } else { v6(0) }).unwrap();
    // Connected, so that an answer from another address than the one asked is not delivered.
    socket.connect(listen).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

/// Name of the server, and the port of the session's socket.
fn ask(client: &UdpSocket) -> (String, String) {
    client.send(b"who").unwrap();
    receive(client)
}

fn receive(client: &UdpSocket) -> (String, String) {
    let mut buffer = [0; 100];
    let length = client.recv(&mut buffer).unwrap();
    let answer = String::from_utf8(buffer[..length].to_vec()).unwrap();
    let mut words = answer.split(' ').map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

#[test]
fn sessions_follow_the_weights_and_stay() {
    within(60, || {
        for (at, listen) in [(v4(0), v4(free_port())), (v6(0), v6(free_port())), (v4(0), v6(free_port()))] {
            let servers = [Answerer::new("a", at), Answerer::new("b", at)];
            let key = udp(listen);
            let mut proxy = start(2);
            publish(&mut proxy, [service(key, &[to(servers[0].address, 1), to(servers[1].address, 3)])]);
            let mut shares = BTreeMap::<String, usize>::new();
            let clients: Vec<_> = (0..40).map(|_| client(listen)).collect();
            let first: Vec<_> = clients.iter().map(ask).collect();
            first.iter().for_each(|(name, _)| *shares.entry(name.clone()).or_default() += 1);
            assert!(shares["a"].abs_diff(10) <= 3 && shares["b"].abs_diff(30) <= 3, "{shares:?}");
            for _ in 0..3 {
                assert_eq!(clients.iter().map(ask).collect::<Vec<_>>(), first);
            }
            assert_eq!(counted(&proxy, key).accepted, 40);
            let sum = |of: fn(DestinationCounters) -> u64| {
                servers.iter().map(|server| of(destination(&proxy, server.address))).sum::<u64>()
            };
            assert_eq!((sum(|one| one.active), sum(|one| one.connections)), (40, 40));
            assert_eq!(sum(|one| one.bytes_in), 40 * 4 * 3);
            assert_eq!((proxy.active(), proxy.limits().open), (0, 40));
        }
    });
}

#[test]
fn the_answer_comes_from_the_address_that_was_asked() {
    within(60, || {
        let server = Answerer::new("a", v4(0));
        let port = free_port();
        let mut proxy = start(2);
        let wildcards = [format!("0.0.0.0:{port}"), format!("[::]:{port}")];
        publish(
            &mut proxy,
            wildcards.map(|listen| service(udp(listen.parse().unwrap()), &[to(server.address, 1)])),
        );
        for listen in [v4(port), format!("127.0.0.99:{port}").parse().unwrap(), v6(port)] {
            assert_eq!(ask(&client(listen)).0, "a");
        }
        // One client's socket that asks two addresses has two sessions.
        let both = UdpSocket::bind(v4(0)).unwrap();
        both.set_read_timeout(Some(SOON)).unwrap();
        let mut buffer = [0; 100];
        let mut sources = Vec::new();
        for asked in ["127.0.0.5", "127.0.0.6", "127.0.0.5"] {
            both.send_to(b"x", format!("{asked}:{port}")).unwrap();
            sources.push(both.recv_from(&mut buffer).unwrap().1.ip().to_string());
        }
        assert_eq!(sources, ["127.0.0.5", "127.0.0.6", "127.0.0.5"]);
        assert_eq!(proxy.limits().open, 5);
    });
}

#[test]
fn a_large_datagram_passes_whole() {
    within(60, || {
        let server = Answerer::new("a", v4(0));
        let listen = v4(free_port());
        let mut proxy = start(1);
        publish(&mut proxy, [service(udp(listen), &[to(server.address, 1)])]);
        let client = client(listen);
        client.send(&[9; 60_000]).unwrap();
        let mut buffer = [0; 65_536];
        let length = client.recv(&mut buffer).unwrap();
        assert!(length > 60_000 && buffer[length - 60_000..length] == [9; 60_000]);
        client.send(&[]).unwrap();
        assert!(client.recv(&mut buffer).unwrap() < 20);
    });
}

#[test]
fn a_silent_session_expires() {
    within(60, || {
        let server = Answerer::new("a", v4(0));
        let key = udp(v4(free_port()));
        let mut proxy = start(2);
        let idle_timeout = Duration::from_millis(300);
        publish(&mut proxy, [Service { idle_timeout, ..service(key, &[to(server.address, 1)]) }]);
        let client = client(key.listen);
        let (_, port) = ask(&client);
        assert_eq!(ask(&client).1, port);
        eventually("expired", || proxy.limits().open == 0);
        assert_eq!(destination(&proxy, server.address).active, 0);
        assert_ne!(ask(&client).1, port);
        assert_eq!(counted(&proxy, key).accepted, 2);
    });
}

#[test]
fn a_refusing_server_loses_its_sessions_to_another() {
    within(60, || {
        let alive = Answerer::new("alive", v4(0));
        let dead = v4(free_port());
        let key = udp(v4(free_port()));
        let mut proxy = start(1);
        publish(&mut proxy, [service(key, &[to(dead, 1), to(alive.address, 1)])]);
        let client = client(key.listen);
        client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        // A client that repeats its question, as those of UDP do.
        let mut buffer = [0; 100];
        eventually("answered", || {
            client.send(b"who").unwrap();
            match client.recv(&mut buffer) {
                Ok(length) => buffer[..length].starts_with(b"alive"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    false
                }
            }
        });
        assert!(destination(&proxy, dead).connect_failures > 0);
        assert_eq!(destination(&proxy, dead).active, 0);
    });
}

#[test]
fn caps_drain_and_on_down_hold_for_sessions_too() {
    within(60, || {
        let servers = [Answerer::new("a", v4(0)), Answerer::new("b", v4(0))];
        let key = udp(v4(free_port()));
        let with = |first: Destination| Service {
            on_down: OnDown::Reset,
            ..service(key, &[first, to(servers[1].address, 1)])
        };
        let first = Destination { max_connections: 3, ..to(servers[0].address, 1000) };
        let mut proxy = start(3);
        publish(&mut proxy, [with(first)]);
        let clients: Vec<_> = (0..10).map(|_| client(key.listen)).collect();
        let names: Vec<_> = clients.iter().map(|client| ask(client).0).collect();
        assert_eq!(names.iter().filter(|name| *name == "a").count(), 3);
        publish(&mut proxy, [with(Destination { weight: 0, ..first })]);
        assert_eq!(clients.iter().map(|client| ask(client).0).collect::<Vec<_>>(), names);
        publish(&mut proxy, [with(Destination { alive: false, ..first })]);
        assert!(clients.iter().all(|client| ask(client).0 == "b"));
        assert_eq!(destination(&proxy, servers[0].address).active, 0);
        publish(&mut proxy, []);
        assert_eq!(proxy.limits().open, 0);
    });
}

/// An address that cannot be connected to without a scope fails at once: the network is down.
#[test]
fn a_datagram_tries_only_so_many_unreachable_servers() {
    within(60, || {
        let unreachable: Vec<_> =
            (1..=200).map(|number| to(format!("[fe80::{number}]:9").parse().unwrap(), 1)).collect();
        let keys = [udp(v4(free_port())), tcp(v4(free_port()))];
        let mut proxy = start(1);
        for key in keys {
            publish(&mut proxy, [service(key, &unreachable)]);
            let failures = |proxy: &Proxy| {
                let counters = proxy.counters();
                counters.destinations.iter().map(|(_, one)| one.connect_failures).sum::<u64>()
            };
            let before = failures(&proxy);
            match key.protocol {
                Protocol::Udp => assert_eq!(client(key.listen).send(b"x").unwrap(), 1),
                Protocol::Tcp => assert!(is_turned_away(key.listen)),
            }
            eventually("turned away", || counted(&proxy, key).no_destination == 1);
            assert_eq!(failures(&proxy) - before, 32);
            eventually("closed", || proxy.limits().open == 0);
        }
    });
}
