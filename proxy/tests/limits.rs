//! At the edge of what the process may open.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

mod support;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use support::*;
use tidegate_proxy::*;

fn limited(max_connections: usize) -> Proxy {
    let threads = std::num::NonZero::new(1);
    Proxy::start(Settings { threads, max_connections: Some(max_connections) }).unwrap()
}

#[test]
fn above_the_connection_limit_clients_are_refused_at_once_and_served_again_below_it() {
    within(60, || {
        let server = Server::echo();
        let key = tcp(v4(free_port()));
        let mut proxy = limited(5);
        publish(&mut proxy, [service(key, &[to(server.address, 1)])]);
        assert_eq!(proxy.limits().max_connections, 5);
        let mut open: Vec<_> = (0..5).map(|_| echoing(key.listen)).collect();
        let start = Instant::now();
        assert!((0..50).all(|_| is_turned_away(key.listen)));
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_eq!((proxy.active(), counted(&proxy, key).over_limit), (5, 50));
        assert!(open.iter_mut().all(still_echoes));
        open.pop();
        eventually("room", || proxy.active() == 4);
        assert!(still_echoes(&mut echoing(key.listen)));
    });
}

#[test]
fn sessions_leave_room_for_connections() {
    within(60, || {
        let server = Server::echo();
        let [stream, datagram] = [tcp(v4(free_port())), udp(v4(free_port()))];
        let mut proxy = limited(10);
        publish(&mut proxy, [stream, datagram].map(|key| service(key, &[to(server.address, 1)])));
        let silent = UdpSocket::bind(v4(0)).unwrap();
        publish(
            &mut proxy,
            [
                service(stream, &[to(server.address, 1)]),
                service(datagram, &[to(silent.local_addr().unwrap(), 1)]),
            ],
        );
        let flood: Vec<_> = (0..40).map(|_| UdpSocket::bind(v4(0)).unwrap()).collect();
        for socket in &flood {
            socket.send_to(b"x", datagram.listen).unwrap();
        }
        eventually("all taken or refused", || {
            let counters = counted(&proxy, datagram);
            counters.accepted + counters.over_limit == 40
        });
        assert_eq!((proxy.limits().open, counted(&proxy, datagram).over_limit), (5, 35));
        assert!(still_echoes(&mut echoing(stream.listen)));
    });
}
