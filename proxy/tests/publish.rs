//! Tables that change under traffic, listeners, and the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use support::*;
use tidegate_proxy::*;

#[test]
fn two_hundred_publishes_under_traffic_fail_no_request() {
    within(120, || {
        let servers: Vec<_> = (0..6).map(|_| Server::named("x")).collect();
        let (stays, flickers) = (tcp(v4(free_port())), tcp(v4(free_port())));
        let mut proxy = start(3);
        let pool = |round: u32| -> Vec<Destination> {
            let weight = |n: u32| (round * 7 + n * 3) % 5;
            let some = (0..6u32).filter(|n| n % 3 != round % 3 || *n == 0);
            some.map(|n| to(servers[n as usize].address, weight(n) + u32::from(n == 0))).collect()
        };
        let schedulers = [
            Scheduler::RoundRobin,
            Scheduler::WeightedRoundRobin,
            Scheduler::LeastConnection,
            Scheduler::WeightedLeastConnection,
            Scheduler::SourceHash,
            Scheduler::Maglev,
        ];
        publish(&mut proxy, [service(stays, &pool(0))]);
        let over = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let over = Arc::clone(&over);
                thread::spawn(move || {
                    let mut requests = 0;
                    while !over.load(Ordering::Relaxed) {
                        assert_eq!(ask(stays.listen).unwrap(), "x");
                        requests += 1;
                    }
                    requests
                })
            })
            .collect();
        let mut before = proxy.counters();
        for round in 0..200 {
            let scheduler = schedulers[round as usize % schedulers.len()];
            let scheduler_flags = SchedulerFlags { fallback: true, port: round % 2 == 0 };
            let mut services = vec![Service { scheduler, scheduler_flags, ..service(stays, &pool(round)) }];
            if round % 4 < 2 {
                services.push(service(flickers, &pool(round)));
            }
            publish(&mut proxy, services);
            let now = proxy.counters();
            for (key, was) in &before.destinations {
                let is = now.destinations.iter().find(|other| other.0 == *key).unwrap().1;
                assert!(is.connections >= was.connections && is.bytes_in >= was.bytes_in);
            }
            before = now;
            thread::sleep(Duration::from_millis(5));
        }
        over.store(true, Ordering::Relaxed);
        let requests: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
        assert!(requests > 200, "{requests}");
        let counters = counted(&proxy, stays);
        assert_eq!((counters.accepted, counters.no_destination), (requests, 0));
        let connections: u64 = proxy.counters().destinations.iter().map(|one| one.1.connections).sum();
        assert_eq!(connections, requests);
        eventually("closed", || proxy.active() == 0);
        assert!(proxy.healthy());
    });
}

#[test]
fn a_port_in_use_is_reported_and_tried_again() {
    within(60, || {
        let server = Server::named("a");
        let [taken, free] = [tcp(v4(free_port())), tcp(v4(free_port()))];
        let holder = TcpListener::bind(taken.listen).unwrap();
        let mut proxy = start(2);
        let wanted = table([taken, free].map(|key| service(key, &[to(server.address, 1)])));
        assert_eq!(proxy.publish(wanted.clone()), [(taken, ListenError::InUse)]);
        assert_eq!(ListenError::InUse.to_string(), "address already in use");
        let served: Vec<_> = proxy.table().services.iter().map(|service| service.key).collect();
        assert_eq!(served, [free]);
        assert_eq!(ask(free.listen).unwrap(), "a");
        drop(holder);
        assert_eq!(proxy.publish(wanted.clone()), []);
        assert_eq!(*proxy.table(), wanted);
        assert_eq!(ask(taken.listen).unwrap(), "a");
    });
}

/// SO_REUSEPORT must not let two daemons share a port without knowing of each other.
#[test]
fn a_second_proxy_cannot_listen_where_the_first_does() {
    within(60, || {
        let server = Server::named("a");
        for key in [tcp(v4(free_port())), tcp(v6(free_port())), udp(v4(free_port())), udp(v6(free_port()))] {
            let wanted = table([service(key, &[to(server.address, 1)])]);
            let mut first = start(2);
            assert_eq!(first.publish(wanted.clone()), []);
            let mut second = start(2);
            assert_eq!(second.publish(wanted.clone()), [(key, ListenError::InUse)]);
            first.shutdown();
            assert_eq!(second.publish(wanted), []);
        }
    });
}

#[test]
fn an_address_of_the_other_director_can_be_listened_on() {
    within(60, || {
        let mut proxy = start(2);
        let keys = ["192.0.2.1", "2001:db8::1"].map(|address| {
            let listen = (address.parse::<std::net::IpAddr>().unwrap(), free_port()).into();
            [tcp(listen), udp(listen)]
        });
        publish(&mut proxy, keys.concat().into_iter().map(|key| service(key, &[])));
        assert_eq!(proxy.table().services.len(), 4);
    });
}

#[test]
fn port_zero_and_both_families_of_one_port() {
    within(60, || {
        let server = Server::named("a");
        let mut proxy = start(1);
        let zero = tcp(v4(0));
        assert_eq!(proxy.publish(table([service(zero, &[])])), [(zero, ListenError::NoPort)]);
        let port = free_port();
        let keys =
            [tcp(format!("0.0.0.0:{port}").parse().unwrap()), tcp(format!("[::]:{port}").parse().unwrap())];
        publish(&mut proxy, keys.map(|key| service(key, &[to(server.address, 1)])));
        assert_eq!(ask(v4(port)).unwrap(), "a");
        assert_eq!(ask(v6(port)).unwrap(), "a");
        assert_eq!(keys.map(|key| counted(&proxy, key).accepted), [1, 1]);
        // The wildcard makes way for an address in one publish.
        publish(&mut proxy, [service(tcp(v4(port)), &[to(server.address, 1)])]);
        assert_eq!(ask(v4(port)).unwrap(), "a");
        assert!(TcpStream::connect(v6(port)).is_err());
    });
}

/// A listener that is closed and opened again would refuse somebody in between.
#[test]
fn a_listener_stays_open_through_publishes() {
    within(60, || {
        let server = Server::echo();
        let key = tcp(v4(free_port()));
        let mut proxy = start(2);
        let inode = || {
            let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
            let port = format!(":{:04X} 00000000:0000 0A", key.listen.port());
            let lines = sockets.lines().filter(|line| line.contains(&port));
            lines.map(|line| line.split_whitespace().nth(9).unwrap().to_owned()).collect::<Vec<_>>()
        };
        publish(&mut proxy, [service(key, &[to(server.address, 1)])]);
        let before = inode();
        assert_eq!(before.len(), 2);
        for weight in 0..50 {
            publish(&mut proxy, [service(key, &[to(server.address, weight)])]);
        }
        assert_eq!(inode(), before);
    });
}

#[test]
fn stop_accepting_serves_the_queue_and_keeps_what_is_open() {
    within(60, || {
        let server = Server::echo();
        let key = tcp(v4(free_port()));
        let mut proxy = start(2);
        let wanted = table([service(key, &[to(server.address, 1)])]);
        assert_eq!(proxy.publish(wanted.clone()), []);
        let mut open = echoing(key.listen);
        let mut queued: Vec<_> = (0..20).map(|_| connect(key.listen)).collect();
        proxy.stop_accepting();
        assert!(TcpStream::connect(key.listen).is_err());
        assert!(queued.iter_mut().all(still_echoes));
        assert!(still_echoes(&mut open));
        assert_eq!(proxy.active(), 21);
        assert_eq!(proxy.table().services, []);
        // For good: a publish does not open anything.
        assert_eq!(proxy.publish(wanted), []);
        assert!(TcpStream::connect(key.listen).is_err());
        drop(queued);
        eventually("one left", || proxy.active() == 1);
        proxy.shutdown();
        assert!(is_reset(&mut open));
        assert!(TcpListener::bind(key.listen).is_ok());
    });
}

#[test]
fn a_removed_service_serves_its_queue_and_frees_its_port() {
    within(60, || {
        let server = Server::echo();
        let key = tcp(v4(free_port()));
        let mut proxy = start(2);
        publish(&mut proxy, [service(key, &[to(server.address, 1)])]);
        let mut queued: Vec<_> = (0..20).map(|_| connect(key.listen)).collect();
        publish(&mut proxy, []);
        assert!(TcpStream::connect(key.listen).is_err());
        assert!(queued.iter_mut().all(still_echoes));
        publish(&mut proxy, [service(key, &[to(server.address, 1)])]);
        assert!(queued.iter_mut().all(still_echoes));
        assert!(still_echoes(&mut echoing(key.listen)));
        drop(queued);
        eventually("closed", || proxy.active() == 0);
    });
}
