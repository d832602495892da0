//! A director is killed and started again: the kernel goes on, and nobody may notice.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidegate_integration::director::{Director, Launch};
use tidegate_integration::lab::{Lab, output_of, timed};
use tidegate_integration::sockets::{echo, serve_on};
use tokio::net::TcpListener;

use super::{PATIENCE, sorted, virtual_server, wait_for_table};

const SERVICE: &str = "10.0.0.1:80";
const SERVERS: [&str; 2] = ["10.0.0.2:8080", "10.0.0.3:8080"];
const CONNECTIONS: usize = 1000;

/// Echoes on all of these addresses, with one thread for any number of connections.
fn serve_echo(addresses: [&'static str; 2]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listeners = addresses.map(|address| runtime.block_on(TcpListener::bind(address)).unwrap());
    std::thread::spawn(move || {
        let accept = |listener: TcpListener| async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    tokio::io::copy(&mut reader, &mut writer).await
                });
            }
        };
        let [one, two] = listeners.map(accept);
        runtime.block_on(async { tokio::join!(one, two) });
    });
}

/// Reads the kernel's table again and again.
struct Sampler {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<(u32, BTreeSet<String>)>,
}

impl Sampler {
    fn start() -> Self {
        let ends = Arc::<AtomicBool>::default();
        let ended = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let (mut samples, mut seen) = (0, BTreeSet::new());
            while !ended.load(Ordering::Relaxed) {
                seen.insert(entries());
                samples += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            (samples, seen)
        });
        Self { ends, thread }
    }

    /// How often it has looked, and what it has seen.
    fn end(self) -> (u32, BTreeSet<String>) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Services and destinations with their weights, without the numbers of connections.
fn entries() -> String {
    let table = std::fs::read_to_string("/proc/net/ip_vs").unwrap();
    let words = table.lines().map(|line| line.split_whitespace().take(4).collect::<Vec<_>>().join(" "));
    words.collect::<Vec<_>>().join("\n")
}

fn start(configuration: &str) -> Director {
    Launch::default().with_director("resync_interval = \"100ms\"").start(configuration)
}

/// How checks are answered.
struct Checked {
    status: AtomicU32,
    /// Not yet.
    is_held: AtomicBool,
}

/// Answers checks on 127.0.0.1:9000.
fn answer_checks() -> Arc<Checked> {
    let checked = Arc::new(Checked { status: 200.into(), is_held: false.into() });
    let answer = Arc::clone(&checked);
    serve_on("127.0.0.1:9000", move |mut stream| {
        let _request = stream.read(&mut [0; 1024]);
        while answer.is_held.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let status = answer.status.load(Ordering::Relaxed);
        let _director_left = write!(stream, "HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n");
    });
    checked
}

fn configuration() -> String {
    let check = "type = \"http\", connect_to = \"127.0.0.1:9000\", interval = \"20s\", timeout = \"20s\"";
    let pool = SERVERS.map(|server| format!("address = \"{server}\""));
    let service = |name: &str, keys: &str| {
        virtual_server(name, &format!("{keys}\ncheck = {{ {check} }}"), &pool.each_ref().map(String::as_str))
    };
    // The sorry server would step in while the servers are unknown.
    service("web", &format!("listen = \"{SERVICE}\"\nquorum = 2\nsorry_server = \"10.0.0.9:8080\""))
        + &service("other", "listen = \"10.0.0.1:81\"\nscheduler = \"rr\"")
}

fn expected(weight: u8, sorry: bool) -> Vec<String> {
    let mut lines = vec![format!("-A -t {SERVICE} -s wlc"), "-A -t 10.0.0.1:81 -s rr".to_owned()];
    for service in [SERVICE, "10.0.0.1:81"] {
        lines.extend(SERVERS.map(|server| format!("-a -t {service} -r {server} -m -w {weight}")));
    }
    if sorry {
        lines.push(format!("-a -t {SERVICE} -r 10.0.0.9:8080 -m -w 1"));
    }
    sorted(lines)
}

#[test]
fn kill_and_start_again_loses_no_connection_and_no_entry() {
    Lab::default().with_program().run(|| {
        // Both ends of every connection are here.
        let limit = Rlimit { current: Some(4096), ..getrlimit(Resource::Nofile) };
        setrlimit(Resource::Nofile, limit).unwrap();
        for address in ["10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32"] {
            output_of("ip", &["address", "add", address, "dev", "lo"]);
        }
        serve_echo(SERVERS);
        let checked = answer_checks();
        let director = start(&configuration());
        wait_for_table(&expected(1, false));

        let service: SocketAddr = SERVICE.parse().unwrap();
        let connect = || TcpStream::connect_timeout(&service, PATIENCE).unwrap();
        let (mut connections, took) = timed(|| (0..CONNECTIONS).map(|_| connect()).collect::<Vec<_>>());
        println!("{CONNECTIONS} connections in {took:?}");
        connections.iter_mut().for_each(|stream| echo(stream, "before").unwrap());

        let sampler = Sampler::start();
        let before = entries();
        director.signal("KILL");
        drop(director);
        connections.iter_mut().take(10).for_each(|stream| echo(stream, "meanwhile").unwrap());
        checked.is_held.store(true, Ordering::Relaxed);
        let director = start(&configuration());
        // Many rounds in which the successor knows nothing.
        std::thread::sleep(Duration::from_secs(1));
        echo(&mut connect(), "a new one").unwrap();
        assert_eq!(director.real_server("web", SERVERS[0])["state"], "unknown");
        checked.is_held.store(false, Ordering::Relaxed);
        for (name, server) in [("web", SERVERS[0]), ("web", SERVERS[1]), ("other", SERVERS[0])] {
            director.wait_for_state(name, server, "up");
        }
        std::thread::sleep(Duration::from_millis(500));
        let (samples, seen) = sampler.end();
        println!("{samples} samples");
        assert!(samples > 200, "{samples}");
        assert_eq!(seen, BTreeSet::from([before]));
        let ((), took) = timed(|| connections.iter_mut().for_each(|stream| echo(stream, "after").unwrap()));
        println!("{CONNECTIONS} connections live; asked all in {took:?}");

        // What its first checks say is believed all the same.
        director.signal("KILL");
        drop(director);
        checked.status.store(503, Ordering::Relaxed);
        let _director = start(&configuration());
        wait_for_table(&expected(0, true));
        connections.iter_mut().take(10).for_each(|stream| echo(stream, "still").unwrap());
    });
}
