//! Traffic through the kernel to real servers on other hosts, checked by the director.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::director::Launch;
use tidegate_integration::lab::{Lab, output_of};
use tidegate_integration::namespace::{Lan, in_namespace};

use super::{PATIENCE, sorted, table, virtual_server};

/// The director's hosts, by their last number.
const DIRECTOR: u8 = 1;
const CLIENT: u8 = 2;
const SERVERS: [u8; 2] = [3, 4];

/// Listens on port 80 of every address until dropped, and tells each client this number.
struct Server(Arc<AtomicBool>);

impl Server {
    fn start(number: u8) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let listener = TcpListener::bind("[::]:80").unwrap();
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, _)) => drop(stream.write_all(&[number])),
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
            }
        });
        Self(ends)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers each datagram with this number.
fn serve_datagrams(number: u8) {
    let socket = UdpSocket::bind("[::]:53").unwrap();
    std::thread::spawn(move || {
        while let Ok((_, client)) = socket.recv_from(&mut [0; 16]) {
            let _client_left = socket.send_to(&[number], client);
        }
    });
}

fn connect(service: &str) -> u8 {
    let connected = TcpStream::connect_timeout(&service.parse().unwrap(), PATIENCE);
    let mut stream = connected.unwrap_or_else(|error| panic!("{service}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut number = [0];
    stream.read_exact(&mut number).unwrap();
    number[0]
}

fn send(service: &str) -> u8 {
    // A port that was used before would belong to the server that it had, even to one that is dead.
    static PORT: AtomicU16 = AtomicU16::new(10_000);
    let port = PORT.fetch_add(1, Ordering::Relaxed);
    let any = if service.starts_with('[') { "[::]" } else { "0.0.0.0" };
    let socket = UdpSocket::bind(format!("{any}:{port}")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(b"who", service).unwrap();
    let mut number = [0];
    socket.recv(&mut number).unwrap_or_else(|error| panic!("{service}: {error}"));
    number[0]
}

/// How often each server answers 20 clients.
fn shares(ask: fn(&str) -> u8, service: &str) -> BTreeMap<u8, u32> {
    let mut shares = BTreeMap::new();
    (0..20).for_each(|_| *shares.entry(ask(service)).or_default() += 1);
    shares
}

/// Clients of NAT live in another network, so that the servers answer through the director; those of direct in the
/// same one, where the servers have the address too but do not announce it.
fn lan() -> Lan {
    let lan = Lan::new(4);
    let [director, client] = [DIRECTOR, CLIENT].map(|host| lan.host(host));
    for (host, last) in [(&director, 1), (&client, 2)] {
        for address in [format!("10.99.0.{last}/24"), format!("fd99::{last}/64")] {
            let nodad = if address.contains(':') { &["nodad"][..] } else { &[] };
            output_of("ip", &[&["-n", host, "address", "add", &address, "dev", "eth0"], nodad].concat());
        }
    }
    output_of("ip", &["-n", &director, "address", "add", "10.77.0.100/32", "dev", "lo"]);
    in_namespace(&director, || {
        for setting in [
            "ipv4.ip_forward=1",
            "ipv4.conf.all.send_redirects=0",
            "ipv4.conf.eth0.send_redirects=0",
            "ipv6.conf.all.forwarding=1",
        ] {
            output_of("sysctl", &["-qw", &format!("net.{setting}")]);
        }
    });
    for server in SERVERS {
        let host = lan.host(server);
        output_of("ip", &["-n", &host, "route", "add", "10.99.0.0/24", "via", "10.77.0.1"]);
        output_of("ip", &["-n", &host, "route", "add", "fd99::/64", "via", "fd77::1"]);
        // A router that knows a shorter way, past IPVS, says so.
        in_namespace(&host, || {
            for setting in [
                "ipv4.conf.all.arp_ignore=1",
                "ipv4.conf.all.arp_announce=2",
                "ipv6.conf.eth0.accept_redirects=0",
            ] {
                output_of("sysctl", &["-qw", &format!("net.{setting}")]);
            }
        });
        output_of("ip", &["-n", &host, "address", "add", "10.77.0.100/32", "dev", "lo"]);
    }
    lan
}

fn configuration() -> String {
    // A server that returns takes its whole share at once.
    let check = "scheduler = \"rr\"\noverload.mode = \"off\"\n\
                 check = { type = \"tcp\", port = 80, interval = \"500ms\", timeout = \"400ms\" }";
    let pool = |address: &str, port: u16| SERVERS.map(|host| format!("address = \"{address}{host}:{port}\""));
    let service = |name: &str, keys: &str, pool: [String; 2]| {
        virtual_server(name, &format!("{keys}\n{check}"), &pool.each_ref().map(String::as_str))
    };
    let v6 = |port| {
        pool("fd77::", port)
            .map(|it| it.replace("\"fd77::3", "\"[fd77::3]").replace("\"fd77::4", "\"[fd77::4]"))
    };
    service("tcp4", "listen = \"10.99.0.1:80\"", pool("10.77.0.", 80))
        + &service("tcp6", "listen = \"[fd99::1]:80\"", v6(80))
        + &service("udp4", "listen = \"10.99.0.1:53\"\nprotocol = \"udp\"", pool("10.77.0.", 53))
        + &service("udp6", "listen = \"[fd99::1]:53\"\nprotocol = \"udp\"", v6(53))
        + &service(
            "direct",
            "listen = \"10.77.0.100:80\"\nforwarding = \"direct\"\non_down = \"remove\"",
            pool("10.77.0.", 80),
        )
}

/// The table with this weight for the server 3 where it is quiesced, and without it where it is removed.
fn expected(three: u8) -> Vec<String> {
    let mut lines = Vec::new();
    for (service, server) in [
        ("-t 10.99.0.1:80", "10.77.0.#:80"),
        ("-t [fd99::1]:80", "[fd77::#]:80"),
        ("-u 10.99.0.1:53", "10.77.0.#:53"),
        ("-u [fd99::1]:53", "[fd77::#]:53"),
    ] {
        lines.push(format!("-A {service} -s rr"));
        for (host, weight) in [("3", three), ("4", 1)] {
            lines.push(format!("-a {service} -r {} -m -w {weight}", server.replace('#', host)));
        }
    }
    lines.push("-A -t 10.77.0.100:80 -s rr".to_owned());
    lines.push("-a -t 10.77.0.100:80 -r 10.77.0.4:80 -g -w 1".to_owned());
    if three > 0 {
        lines.push("-a -t 10.77.0.100:80 -r 10.77.0.3:80 -g -w 1".to_owned());
    }
    sorted(lines)
}

#[test]
fn nat_and_direct_carry_traffic_to_the_servers_that_live() {
    Lab::default().with_program().run(|| {
        let lan = lan();
        let start = |host: u8| in_namespace(&lan.host(host), || Server::start(host));
        let [mut three, _four] = SERVERS.map(start);
        SERVERS.iter().for_each(|host| in_namespace(&lan.host(*host), || serve_datagrams(*host)));
        let director =
            Launch::default().through(&["ip", "netns", "exec", &lan.host(DIRECTOR)]).start(&configuration());
        let wait_until = |what: &str, expected: &[String]| {
            wait_for(what, PATIENCE, || (in_namespace(&lan.host(DIRECTOR), table) == expected).then_some(()));
        };
        let answers = |expected: &[(u8, u32)]| {
            let expected: BTreeMap<_, _> = expected.iter().copied().collect();
            in_namespace(&lan.host(CLIENT), || {
                for service in ["10.99.0.1:80", "[fd99::1]:80", "10.77.0.100:80"] {
                    assert_eq!(shares(connect, service), expected, "tcp {service}");
                }
                for service in ["10.99.0.1:53", "[fd99::1]:53"] {
                    assert_eq!(shares(send, service), expected, "udp {service}");
                }
            });
        };

        wait_until("the table with all servers", &expected(1));
        answers(&[(3, 10), (4, 10)]);

        drop(three);
        wait_until("the table without the dead server", &expected(0));
        assert_eq!(director.real_server("tcp4", "10.77.0.3:80")["state"], "down");
        answers(&[(4, 20)]);

        three = start(3);
        wait_until("the table with the server that is back", &expected(1));
        answers(&[(3, 10), (4, 10)]);
        drop(three);
    });
}
