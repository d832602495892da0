//! What passes through a connection, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use support::*;
use tidegate_proxy::*;

const BULK: usize = 50 * 1024 * 1024;

fn byte(position: usize) -> u8 {
    (position % 251) as u8 ^ (position >> 16) as u8
}

fn send_bulk(mut stream: &TcpStream) {
    let mut position = 0;
    while position < BULK {
        let chunk: Vec<u8> = (position..BULK.min(position + 100_000)).map(byte).collect();
        stream.write_all(&chunk).unwrap();
        position += chunk.len();
    }
    stream.shutdown(Shutdown::Write).unwrap();
}

/// Every byte in its place and the end where it belongs.
fn receive_bulk(mut stream: &TcpStream) {
    let mut buffer = vec![0; 200_000];
    let mut position = 0;
    loop {
        let read = stream.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        assert!(buffer[..read].iter().enumerate().all(|(offset, &got)| got == byte(position + offset)));
        position += read;
    }
    assert_eq!(position, BULK);
}

fn serve(proxy: &mut Proxy, listen: SocketAddr, server: SocketAddr) {
    publish(proxy, [service(tcp(listen), &[to(server, 1)])]);
}

#[test]
fn bulk_passes_unchanged_in_both_directions_at_once() {
    within(120, || {
        for (listen, at) in [(v4(free_port()), v4(0)), (v6(free_port()), v6(0)), (v4(free_port()), v6(0))] {
            let server = Server::at(at, |stream| {
                thread::scope(|scope| {
                    scope.spawn(|| send_bulk(&stream));
                    receive_bulk(&stream);
                });
            });
            let mut proxy = start(2);
            serve(&mut proxy, listen, server.address);
            let client = connect(listen);
            thread::scope(|scope| {
                scope.spawn(|| send_bulk(&client));
                receive_bulk(&client);
            });
            eventually("closed", || proxy.active() == 0);
            let counters = destination(&proxy, server.address);
            assert_eq!((counters.bytes_in, counters.bytes_out), (BULK as u64, BULK as u64));
            assert_eq!((counters.active, counters.connections), (0, 1));
        }
    });
}

/// Kilobytes that this process has resident.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_reader_that_stops_stops_its_sender_and_nobody_else() {
    within(60, || {
        let server = Server::new(|mut stream| {
            // A client that goes away is the end of this.
            while stream.write_all(&[7; 64 * 1024]).is_ok() {}
        });
        let other = Server::named("other");
        let (stuck, lively) = (v4(free_port()), v4(free_port()));
        let mut proxy = start(1);
        publish(
            &mut proxy,
            [service(tcp(stuck), &[to(server.address, 1)]), service(tcp(lively), &[to(other.address, 1)])],
        );
        let before = resident();
        let clients: Vec<_> = (0..20).map(|_| connect(stuck)).collect();
        let mut last = u64::MAX;
        eventually("backpressure", || {
            thread::sleep(Duration::from_millis(200));
            let now = destination(&proxy, server.address).bytes_out;
            std::mem::replace(&mut last, now) == now && now > 0
        });
        assert_eq!(ask(lively).unwrap(), "other");
        assert!(resident() < before + 20 * 1024, "{} KB before, {} KB now", before, resident());
        // And it goes on as soon as somebody reads.
        let mut got = vec![0; 20_000_000];
        (&clients[0]).read_exact(&mut got).unwrap();
        assert!(got.iter().all(|&byte| byte == 7));
        drop(clients);
        eventually("closed", || proxy.active() == 0);
    });
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answer() {
    within(60, || {
        let server = Server::new(|mut stream| {
            let mut request = Vec::new();
            stream.read_to_end(&mut request).unwrap();
            thread::sleep(Duration::from_millis(50));
            stream.write_all(&request.repeat(1_000_000)).unwrap();
        });
        let listen = v4(free_port());
        let mut proxy = start(2);
        serve(&mut proxy, listen, server.address);
        let mut client = connect(listen);
        client.write_all(b"abc").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"abc".repeat(1_000_000));
    });
}

#[test]
fn a_server_that_has_said_all_still_hears_its_client() {
    within(60, || {
        let (heard, hears) = std::sync::mpsc::channel();
        let heard = std::sync::Mutex::new(heard);
        let server = Server::new(move |mut stream| {
            stream.write_all(b"bye").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            heard.lock().unwrap().send(rest).unwrap();
        });
        let listen = v4(free_port());
        let mut proxy = start(2);
        serve(&mut proxy, listen, server.address);
        let mut client = connect(listen);
        let mut greeting = String::new();
        client.read_to_string(&mut greeting).unwrap();
        assert_eq!(greeting, "bye");
        assert_eq!(proxy.active(), 1);
        client.write_all(&[1; 300_000]).unwrap();
        drop(client);
        assert_eq!(hears.recv_timeout(SOON).unwrap(), vec![1; 300_000]);
        eventually("closed", || proxy.active() == 0);
    });
}

fn close_by_reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_reset_is_passed_on_as_a_reset_in_both_directions() {
    within(60, || {
        let server = Server::new(|mut stream| {
            read_line(&mut stream);
            close_by_reset(stream);
        });
        let listen = v4(free_port());
        let mut proxy = start(2);
        serve(&mut proxy, listen, server.address);
        let mut client = connect(listen);
        client.write_all(b"go\n").unwrap();
        assert!(is_reset(&mut client));

        let (kind, kinds) = std::sync::mpsc::channel();
        let kind = std::sync::Mutex::new(kind);
        let server = Server::new(move |mut stream| {
            let mut all = Vec::new();
            stream.write_all(b"hello\n").unwrap();
            let end = stream.read_to_end(&mut all).map_err(|error| error.kind());
            kind.lock().unwrap().send(end).unwrap();
        });
        serve(&mut proxy, listen, server.address);
        let mut client = connect(listen);
        assert_eq!(read_line(&mut client), "hello");
        close_by_reset(client);
        assert_eq!(kinds.recv_timeout(SOON).unwrap(), Err(ErrorKind::ConnectionReset));

        // Also from a client that has half-closed before.
        let mut client = connect(listen);
        assert_eq!(read_line(&mut client), "hello");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(kinds.recv_timeout(SOON).unwrap(), Ok(0));
        drop(client);
        eventually("closed", || proxy.active() == 0);
    });
}

/// A client that resets after its own end was passed on is noticed although nobody reads from it any more.
#[test]
fn a_reset_after_a_half_close_ends_the_connection() {
    within(60, || {
        let (released, release) = std::sync::mpsc::channel::<()>();
        let release = std::sync::Mutex::new(release);
        let server = Server::new(move |mut stream| {
            stream.write_all(b"hello\n").unwrap();
            // Keeps its side open until the test is over.
            let _ = release.lock().unwrap().recv();
        });
        let listen = v4(free_port());
        let mut proxy = start(1);
        serve(&mut proxy, listen, server.address);
        let mut client = connect(listen);
        assert_eq!(read_line(&mut client), "hello");
        client.shutdown(Shutdown::Write).unwrap();
        thread::sleep(Duration::from_millis(50));
        assert_eq!(proxy.active(), 1);
        close_by_reset(client);
        eventually("closed", || proxy.active() == 0);
        drop(released);
    });
}

/// A read stops before an urgent byte, and splice for ever; neither is the end of what there is.
#[test]
fn urgent_bytes_and_those_after_them_pass_in_their_place() {
    within(60, || {
        let server = Server::echo();
        let listen = v4(free_port());
        let mut proxy = start(1);
        serve(&mut proxy, listen, server.address);
        let urgent = |stream: &TcpStream, bytes: &[u8]| {
            assert_eq!(rustix::net::send(stream, bytes, rustix::net::SendFlags::OOB), Ok(bytes.len()));
        };
        let mut client = connect(listen);
        for _ in 0..20 {
            client.write_all(b"abc").unwrap();
            urgent(&client, b"!");
            client.write_all(b"def").unwrap();
            let mut back = [0; 7];
            client.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"abc!def");
        }
        // In the middle of bulk, and with the end behind it.
        let bulk = vec![b'x'; 300_000];
        let mut reader = client.try_clone().unwrap();
        let back = thread::spawn(move || {
            let mut back = Vec::new();
            reader.read_to_end(&mut back).map(|_| back)
        });
        for _ in 0..5 {
            client.write_all(&bulk).unwrap();
            urgent(&client, b"!");
        }
        client.write_all(b"end").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let expected = [&bulk[..], b"!"].concat().repeat(5);
        assert!(back.join().unwrap().unwrap() == [&expected[..], b"end"].concat());
    });
}

#[test]
fn a_silent_connection_is_reset_after_its_idle_timeout_and_a_talking_one_is_not() {
    within(60, || {
        let server = Server::echo();
        let listen = v4(free_port());
        let mut proxy = start(1);
        let idle_timeout = Duration::from_millis(1500);
        publish(&mut proxy, [Service { idle_timeout, ..service(tcp(listen), &[to(server.address, 1)]) }]);
        let mut talking = echoing(listen);
        let start = Instant::now();
        let mut silent = echoing(listen);
        let waiter = thread::spawn(move || (is_reset(&mut silent), start.elapsed()));
        for _ in 0..15 {
            thread::sleep(Duration::from_millis(200));
            assert!(still_echoes(&mut talking));
        }
        let (reset, after) = waiter.join().unwrap();
        // The proxy reads its clock once a turn, so it may think of the last byte as a little older.
        let least = idle_timeout - Duration::from_millis(100);
        assert!(reset && after >= least && after < Duration::from_secs(12), "{after:?}");
        assert!(is_reset(&mut talking));
        eventually("closed", || destination(&proxy, server.address).active == 0);
    });
}

#[test]
fn a_refused_connect_goes_to_another_server_before_the_client_notices() {
    within(60, || {
        let server = Server::named("alive");
        let dead = v4(free_port());
        let listen = v4(free_port());
        let mut proxy = start(2);
        for scheduler in [Scheduler::RoundRobin, Scheduler::WeightedLeastConnection, Scheduler::Maglev] {
            let scheduler_flags = SchedulerFlags { fallback: true, port: true };
            let destinations = [to(server.address, 1), to(dead, 100)];
            publish(
                &mut proxy,
                [Service { scheduler, scheduler_flags, ..service(tcp(listen), &destinations) }],
            );
            for _ in 0..30 {
                assert_eq!(ask(listen).unwrap(), "alive");
            }
        }
        let failures = destination(&proxy, dead);
        assert!(failures.connect_failures >= 30 && failures.connections == 0 && failures.active == 0);
        assert_eq!(counted(&proxy, tcp(listen)).no_destination, 0);
    });
}

#[test]
fn an_unreachable_server_is_retried_within_the_deadline() {
    within(60, || {
        // A listener whose queue is full does not answer at all.
        let full = TcpListener::bind(v4(0)).unwrap();
        rustix::net::listen(&full, 0).unwrap();
        let address = full.local_addr().unwrap();
        let fill: Vec<_> =
            (0..4).map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200))).collect();
        assert!(fill.last().unwrap().is_err());
        let server = Server::named("alive");
        let listen = v4(free_port());
        let mut proxy = start(1);
        let connect_timeout = Duration::from_secs(4);
        let silent_first =
            |destinations: &[Destination]| Service { connect_timeout, ..service(tcp(listen), destinations) };
        publish(&mut proxy, [silent_first(&[to(address, 1000), to(server.address, 1)])]);
        let start = Instant::now();
        assert_eq!(ask(listen).unwrap(), "alive");
        let half = start.elapsed();
        assert!(half >= Duration::from_millis(1900) && half < Duration::from_millis(3900), "{half:?}");

        publish(&mut proxy, [silent_first(&[to(address, 1)])]);
        let start = Instant::now();
        assert!(is_turned_away(listen));
        let whole = start.elapsed();
        assert!(whole >= Duration::from_millis(3900) && whole < Duration::from_secs(12), "{whole:?}");
        assert_eq!(counted(&proxy, tcp(listen)).no_destination, 1);
    });
}

#[test]
fn with_nobody_left_the_client_is_reset_at_once() {
    within(60, || {
        let listen = v4(free_port());
        let mut proxy = start(1);
        publish(&mut proxy, [service(tcp(listen), &[to(v4(free_port()), 1), to(v4(free_port()), 1)])]);
        assert!(is_turned_away(listen));
        publish(&mut proxy, [service(tcp(listen), &[])]);
        assert!(is_turned_away(listen));
        let counters = counted(&proxy, tcp(listen));
        assert_eq!((counters.accepted, counters.no_destination, counters.over_limit), (2, 2, 0));
        eventually("closed", || proxy.active() == 0);
    });
}
