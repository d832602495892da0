//! What an operator can ask for: caps, persistence, the PROXY protocol, on_down, drain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use support::*;
use tidegate_proxy::*;

#[test]
fn a_cap_is_never_exceeded_over_all_threads_and_is_used_up() {
    within(60, || {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&now), Arc::clone(&most));
        let server = Server::new(move |mut stream| {
            most_of(&counts.1, counts.0.fetch_add(1, Ordering::SeqCst) + 1);
            read_line(&mut stream);
            counts.0.fetch_sub(1, Ordering::SeqCst);
            let _ = stream.write_all(b"capped\n");
        });
        let key = tcp(v4(free_port()));
        let mut proxy = start(4);
        let capped = Destination { max_connections: 5, ..to(server.address, 1) };
        publish(&mut proxy, [service(key, &[capped])]);

        let barrier = Arc::new(Barrier::new(41));
        let clients: Vec<_> = (0..40)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                thread::spawn(move || {
                    let stream = try_connect(key.listen);
                    barrier.wait();
                    let Ok(mut stream) = stream else { return false };
                    let _ = stream.write_all(b"go\n");
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).is_ok_and(|_| answer == "capped\n")
                })
            })
            .collect();
        // Nobody goes before everybody has been seen.
        eventually("35 turned away", || counted(&proxy, key).no_destination == 35);
        barrier.wait();
        let served =
            clients.into_iter().map(|client| client.join().unwrap()).filter(|served| *served).count();
        assert_eq!(served, 5);
        assert!(most.load(Ordering::SeqCst) <= 5);
        eventually("places given back", || destination(&proxy, server.address).active == 0);

        // Quick connections with a sorry server behind: full is passed over, and nothing is lost.
        let other = Server::named("other");
        publish(&mut proxy, [service(key, &[capped, to(other.address, 1)])]);
        let clients: Vec<_> = (0..20)
            .map(|_| {
                thread::spawn(move || (0..20).all(|_| ask(key.listen).is_ok_and(|name| !name.is_empty())))
            })
            .collect();
        assert!(clients.into_iter().all(|client| client.join().unwrap()));
        assert!(most.load(Ordering::SeqCst) <= 5);
    });
}

fn most_of(most: &AtomicUsize, now: usize) {
    most.fetch_max(now, Ordering::SeqCst);
}

#[test]
fn services_of_one_group_share_a_cap() {
    within(60, || {
        let server = Server::echo();
        let keys = [tcp(v4(free_port())), tcp(v6(free_port()))];
        let mut proxy = start(2);
        let capped = Destination { max_connections: 1, ..to(server.address, 1) };
        publish(&mut proxy, keys.map(|key| service(key, &[capped])));
        let held = echoing(keys[0].listen);
        assert!(is_turned_away(keys[1].listen));
        drop(held);
        eventually("the place is free", || destination(&proxy, server.address).active == 0);
        echoing(keys[1].listen);
    });
}

#[test]
fn what_finds_no_room_overflows_and_every_attempt_is_accounted_for() {
    within(60, || {
        let (server, sorry) = (Server::echo(), Server::named("sorry"));
        let refusing = v4(free_port());
        let key = tcp(v4(free_port()));
        let mut proxy = start(2);
        let with_cap = |max_connections| Service {
            overflow: Some(sorry.address),
            ..service(key, &[Destination { max_connections, ..to(server.address, 1) }, to(refusing, 1)])
        };
        publish(&mut proxy, [with_cap(1)]);
        let held = echoing(key.listen);
        assert!((0..5).all(|_| ask(key.listen).unwrap() == "sorry"));
        // A cap that is raised holds from then on.
        publish(&mut proxy, [with_cap(2)]);
        let second = echoing(key.listen);
        assert_eq!(ask(key.listen).unwrap(), "sorry");
        drop((held, second));
        eventually("the places are free", || destination(&proxy, server.address).active == 0);

        let [served, refused, sorry] =
            [server.address, refusing, sorry.address].map(|address| destination(&proxy, address));
        assert_eq!((served.begun, served.connections, served.connect_failures), (2, 2, 0));
        assert_eq!((sorry.begun, sorry.connections), (6, 6));
        assert!(refused.begun >= 6, "{refused:?}");
        assert_eq!((refused.connections, refused.connect_failures), (0, refused.begun));
        assert_eq!(counted(&proxy, key).no_destination, 0);
    });
}

#[test]
fn persistence_keeps_a_client_where_it_is_until_drain() {
    within(60, || {
        let servers = [Server::named("a"), Server::named("b")];
        let key = tcp(v4(free_port()));
        let persistent = |weights: [u32; 2]| Service {
            persistence: Some(Persistence {
                timeout: Duration::from_secs(100),
                prefix_v4: 32,
                prefix_v6: 128,
            }),
            scheduler: Scheduler::RoundRobin,
            ..service(key, &[to(servers[0].address, weights[0]), to(servers[1].address, weights[1])])
        };
        let mut proxy = start(4);
        publish(&mut proxy, [persistent([1, 1])]);
        let all = |proxy: &Proxy| {
            let before = counted(proxy, key).accepted;
            let names: BTreeSet<_> = (0..20).map(|_| ask(key.listen).unwrap()).collect();
            assert_eq!(counted(proxy, key).accepted, before + 20);
            assert_eq!(names.len(), 1, "{names:?}");
            names.into_iter().next().unwrap()
        };
        let first = all(&proxy);
        publish(&mut proxy, [persistent([7, 9])]);
        assert_eq!(all(&proxy), first);
        publish(&mut proxy, [persistent(if first == "a" { [0, 1] } else { [1, 0] })]);
        let second = all(&proxy);
        assert_ne!(second, first);
        // The template has moved with the client.
        publish(&mut proxy, [persistent([1, 1])]);
        assert_eq!(all(&proxy), second);
    });
}

#[test]
fn the_proxy_protocol_comes_ahead_of_the_clients_bytes() {
    within(60, || {
        let (header, headers) = mpsc::channel();
        let header = Mutex::new(header);
        let server = Server::new(move |mut stream| {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            header.lock().unwrap().send(all).unwrap();
        });
        let mut proxy = start(1);
        let port = free_port();
        let wildcard: SocketAddr = format!("0.0.0.0:{port}").parse().unwrap();
        let asked: SocketAddr = format!("127.0.0.77:{port}").parse().unwrap();
        let mut send = |version, listen, connect_to| {
            let service = service(tcp(listen), &[to(server.address, 1)]);
            publish(&mut proxy, [Service { proxy_protocol: Some(version), ..service }]);
            let mut client = connect(connect_to);
            let source = client.local_addr().unwrap();
            client.write_all(b"GET /").unwrap();
            drop(client);
            (source, headers.recv_timeout(SOON).unwrap())
        };
        let (source, got) = send(ProxyProtocol::V1, wildcard, asked);
        let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.77 {} {port}\r\nGET /", source.port());
        assert_eq!(String::from_utf8(got).unwrap(), expected);

        let v6 = v6(free_port());
        let (source, got) = send(ProxyProtocol::V2, v6, v6);
        assert_eq!(got[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24");
        let localhost = std::net::Ipv6Addr::LOCALHOST.octets();
        assert_eq!((&got[16..32], &got[32..48]), (&localhost[..], &localhost[..]));
        assert_eq!(got[48..50], source.port().to_be_bytes());
        assert_eq!(got[50..52], v6.port().to_be_bytes());
        assert_eq!(got[52..], *b"GET /");
    });
}

#[test]
fn on_down_resets_or_keeps_and_a_removed_server_keeps_its_connections() {
    within(60, || {
        let servers = [Server::echo(), Server::echo()];
        let keys = [tcp(v4(free_port())), tcp(v4(free_port()))];
        let services = |alive: bool, weight: u32| {
            let destinations =
                [Destination { alive, ..to(servers[0].address, weight) }, to(servers[1].address, 0)];
            let on_down = [OnDown::Reset, OnDown::Keep];
            [0, 1].map(|n| Service { on_down: on_down[n], ..service(keys[n], &destinations) })
        };
        let mut proxy = start(3);
        publish(&mut proxy, services(true, 1));
        let mut reset: Vec<TcpStream> = (0..10).map(|_| echoing(keys[0].listen)).collect();
        let mut kept: Vec<TcpStream> = (0..10).map(|_| echoing(keys[1].listen)).collect();

        // A drain leaves them alone.
        publish(&mut proxy, services(true, 0));
        assert!(reset.iter_mut().chain(&mut kept).all(still_echoes));
        assert!(is_turned_away(keys[0].listen));

        publish(&mut proxy, services(false, 1));
        assert!(reset.iter_mut().all(is_reset));
        assert!(kept.iter_mut().all(still_echoes));
        assert_eq!(destination(&proxy, servers[0].address).active, 10);
        assert!(is_turned_away(keys[1].listen), "nothing new goes to the dead");

        // Removed is not dead, not even for a service that resets.
        publish(&mut proxy, services(true, 1));
        let mut again = echoing(keys[0].listen);
        publish(&mut proxy, keys.map(|key| service(key, &[to(servers[1].address, 1)])));
        assert!(kept.iter_mut().chain([&mut again]).all(still_echoes));
        publish(&mut proxy, []);
        assert!(kept.iter_mut().chain([&mut again]).all(still_echoes));
        let counters = destination(&proxy, servers[0].address);
        assert_eq!((counters.active, counters.connections), (11, 21));
        drop((kept, again));
        eventually("closed", || proxy.active() == 0);
    });
}
