//! Clients and servers that behave badly in every way and order: nothing
//! is left behind, and those who behave are served all the while.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use support::*;
use tidegate_proxy::*;

/// One of the ways to end or not to end a conversation, chosen by `number`.
fn misbehave(mut stream: TcpStream, number: u32) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    let _ = stream.set_write_timeout(Some(Duration::from_millis(100)));
    let mut buffer = [0; 30_000];
    if number & 1 != 0 {
        let _ = stream.write(&vec![number as u8; 1 << (number % 23)]);
    }
    if number & 2 != 0 {
        let _ = stream.read(&mut buffer);
    }
    match number / 4 % 5 {
        0 => drop(rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))),
        1 => drop(stream.shutdown(Shutdown::Write)),
        2 => drop(stream.shutdown(Shutdown::Read)),
        3 => thread::sleep(Duration::from_millis(u64::from(number % 30))),
        _ => {}
    }
    if number & 32 != 0 {
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
    }
    if number & 64 != 0 {
        let _ = stream.write(&buffer);
    }
}

#[test]
fn nothing_is_left_behind() {
    within(120, || {
        let numbers = AtomicU32::new(1);
        let server = Server::new(move |stream| {
            // Multiplied by an odd constant the ways come in another order than the clients'.
            misbehave(stream, numbers.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b1) >> 16);
        });
        let good = Server::named("good");
        let [bad, fine] = [tcp(v4(free_port())), tcp(v4(free_port()))];
        let mut proxy = start(2);
        publish(
            &mut proxy,
            [
                Service {
                    idle_timeout: Duration::from_secs(3),
                    proxy_protocol: Some(ProxyProtocol::V2),
                    ..service(bad, &[to(server.address, 1), to(v4(free_port()), 1)])
                },
                service(fine, &[to(good.address, 1)]),
            ],
        );
        thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || {
                    for number in 0..150 {
                        if let Ok(stream) = try_connect(bad.listen) {
                            misbehave(stream, number * 8 + thread);
                        }
                    }
                });
            }
            for _ in 0..100 {
                assert_eq!(ask(fine.listen).unwrap(), "good");
            }
        });
        eventually("all closed", || proxy.active() == 0);
        assert!(proxy.counters().destinations.iter().all(|(_, counters)| counters.active == 0));
        assert_eq!(counted(&proxy, fine).accepted, 100);
        assert!(proxy.healthy());
    });
}
