//! Real servers, clients and tables for the tests.
#![allow(dead_code, unreachable_pub, clippy::disallowed_methods)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tidegate_proxy::*;

/// For everything that happens at once unless it hangs.
pub const SOON: Duration = Duration::from_secs(20);

/// Runs a test in a thread of its own and fails when it takes longer than `seconds`.
pub fn within(seconds: u64, test: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::channel();
    let runner = thread::spawn(move || {
        test();
        done.send(()).unwrap();
    });
    match finished.recv_timeout(Duration::from_secs(seconds)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("hangs: not over after {seconds} s"),
        _ => runner.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < SOON, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub fn v4(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub fn v6(port: u16) -> SocketAddr {
    (Ipv6Addr::LOCALHOST, port).into()
}

/// A port that nobody uses, below the range that the kernel takes clients' ports from.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (number % 20_000) as u16;
        let free = TcpListener::bind(v4(port)).is_ok()
            && TcpListener::bind(v6(port)).is_ok()
            && UdpSocket::bind(v4(port)).is_ok()
            && UdpSocket::bind(v6(port)).is_ok();
        if free {
            return port;
        }
    }
}

pub fn start(threads: usize) -> Proxy {
    Proxy::start(Settings { threads: NonZero::new(threads), max_connections: None }).unwrap()
}

pub fn tcp(listen: SocketAddr) -> ServiceKey {
    ServiceKey { protocol: Protocol::Tcp, listen }
}

pub fn udp(listen: SocketAddr) -> ServiceKey {
    ServiceKey { protocol: Protocol::Udp, listen }
}

pub fn to(address: SocketAddr, weight: u32) -> Destination {
    Destination { address, weight, max_connections: 0, alive: true }
}

/// A service with generous timeouts, by `wrr`.
pub fn service(key: ServiceKey, destinations: &[Destination]) -> Service {
    let mut destinations = destinations.to_vec();
    destinations.sort_by_key(|destination| destination.address);
    Service {
        key,
        group: "web".into(),
        scheduler: Scheduler::WeightedRoundRobin,
        scheduler_flags: SchedulerFlags::default(),
        persistence: None,
        connect_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        proxy_protocol: None,
        on_down: OnDown::Keep,
        destinations,
        overflow: None,
    }
}

pub fn table(services: impl IntoIterator<Item = Service>) -> Table {
    let mut services: Vec<_> = services.into_iter().map(Arc::new).collect();
    services.sort_by_key(|service| service.key);
    Table { services }
}

pub fn publish(proxy: &mut Proxy, services: impl IntoIterator<Item = Service>) {
    assert_eq!(proxy.publish(table(services)), []);
}

pub fn destination(proxy: &Proxy, address: SocketAddr) -> DestinationCounters {
    let counters = proxy.counters();
    let found = counters.destinations.iter().find(|((_, other), _)| *other == address);
    found.map(|found| found.1).unwrap_or_default()
}

pub fn counted(proxy: &Proxy, key: ServiceKey) -> ServiceCounters {
    proxy.counters().services.iter().find(|(other, _)| *other == key).unwrap().1
}

/// A real server: each connection is handled in a thread. It stops listening when dropped.
pub struct Server {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn new(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Server {
        Server::at(v4(0), handle)
    }

    pub fn at(address: SocketAddr, handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let handle = Arc::new(handle);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                match stream {
                    Ok(stream) => {
                        let handle = Arc::clone(&handle);
                        thread::spawn(move || handle(stream));
                    }
                    // Out of descriptors, in the test of that.
                    Err(_) => thread::sleep(Duration::from_millis(10)),
                }
            }
        });
        Server { address, stop, thread: Some(thread) }
    }

    /// Sends back whatever it gets until the end of it.
    pub fn echo() -> Server {
        Server::new(|mut stream| {
            let mut reader = stream.try_clone().unwrap();
            let _ = std::io::copy(&mut reader, &mut stream);
        })
    }

    /// Reads one line and answers with `name` and a newline, then closes.
    pub fn named(name: &'static str) -> Server {
        Server::new(move |mut stream| {
            read_line(&mut stream);
            let _ = stream.write_all(format!("{name}\n").as_bytes());
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Up to a newline or the end.
pub fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|read| read == 1) && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

pub fn connect(address: SocketAddr) -> TcpStream {
    try_connect(address).unwrap()
}

pub fn try_connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, SOON)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.set_write_timeout(Some(SOON))?;
    Ok(stream)
}

/// Connects and is reset, which may come so early that connecting fails of it.
pub fn is_turned_away(address: SocketAddr) -> bool {
    match try_connect(address) {
        Ok(mut stream) => is_reset(&mut stream),
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// One request to servers that are [`Server::named`].
pub fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = try_connect(address)?;
    stream.write_all(b"who\n")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

/// A connection to servers that echo, known to be through.
pub fn echoing(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    assert!(still_echoes(&mut stream));
    stream
}

pub fn still_echoes(stream: &mut TcpStream) -> bool {
    let mut back = [0; 4];
    stream.write_all(b"ping").is_ok() && stream.read_exact(&mut back).is_ok() && back == *b"ping"
}

/// Waits for the other side's reset; false if it closes in order or sends something.
pub fn is_reset(stream: &mut TcpStream) -> bool {
    let end = stream.read_exact(&mut [0]).map_err(|error| error.kind());
    end == Err(ErrorKind::ConnectionReset)
}
