//! How long a large configuration takes to read, to start, to reload, and how much memory it holds.
//!
//! `cargo bench -p tidegate-integration --bench scale`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use tidegate::config;
use tidegate_integration::clock::now;
use tidegate_integration::director::{Director, Launch, program};

const ROUNDS: usize = 7;

/// Virtual servers of so many real servers each, on loopback, nothing checked.
struct Shape {
    name: &'static str,
    pools: Vec<usize>,
}

impl Shape {
    fn real_servers(&self) -> usize {
        self.pools.iter().sum()
    }

    /// The configuration; of the first `changed` real servers the weight is another one.
    fn text(&self, mut changed: usize) -> String {
        let mut text = String::from("[defaults.check]\ntype = \"none\"\n");
        let mut server = 0_usize;
        for (number, size) in self.pools.iter().enumerate() {
            let (high, low) = (number / 250, 1 + number % 250);
            let _ = write!(
                text,
                "\n[[virtual_server]]\nname = \"vs{number}\"\nlisten = \"127.100.{high}.{low}:8080\"\n"
            );
            for _ in 0..*size {
                let weight = if changed > 0 { 20 } else { 10 };
                changed = changed.saturating_sub(1);
                let (a, b, c) = (server / 62_500, server / 250 % 250, 1 + server % 250);
                server += 1;
                let _ = write!(
                    text,
                    "[[virtual_server.real_server]]\naddress = \"10.{a}.{b}.{c}:80\"\nweight = {weight}\n"
                );
            }
        }
        text
    }
}

fn main() {
    // Built before anything is timed.
    program();
    // 37,205 in 2,277, as in keepalived's issue 2318; 53 addresses × 8 services × 6, as in the LVS HOWTO.
    let large = (0..2_277).map(|number| if number < 37_205 - 2_277 * 16 { 17 } else { 16 }).collect();
    let shapes = [Shape { name: "large", pools: large }, Shape { name: "LVS HOWTO", pools: vec![6; 53 * 8] }];
    println!(
        "| configuration | virtual | real | text | read and validate | start | reload, same | reload, 100 changes | resident |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for shape in shapes {
        measure(&shape);
    }
}

fn measure(shape: &Shape) {
    let (same, changed) = (shape.text(0), shape.text(100));
    let read = median(|| {
        let begin = now();
        config::parse(Path::new("bench.toml"), &same).expect("a right configuration");
        now() - begin
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let begin = now();
    let director = Launch::default().with_environment("NOTIFY_SOCKET", path.to_str().unwrap()).start(&same);
    wait_until_ready(&manager);
    let start = now() - begin;
    settle(&director, shape);
    let reload_same = median(|| reload(&director, &manager, &same));
    let mut flip = false;
    let reload_changed = median(|| {
        flip = !flip;
        reload(&director, &manager, if flip { &changed } else { &same })
    });
    std::thread::sleep(Duration::from_secs(2));
    println!(
        "| {} | {} | {} | {:.1} MB | {} | {} | {} | {} | {:.1} MB |",
        shape.name,
        shape.pools.len(),
        shape.real_servers(),
        same.len() as f64 / 1e6,
        milliseconds(read),
        milliseconds(start),
        milliseconds(reload_same),
        milliseconds(reload_changed),
        director.resident() as f64 / 1e6,
    );
}

/// From the signal to the configuration in force.
fn reload(director: &Director, manager: &UnixDatagram, configuration: &str) -> Duration {
    director.write(configuration);
    let begin = now();
    director.signal("HUP");
    wait_until_ready(manager);
    now() - begin
}

fn wait_until_ready(manager: &UnixDatagram) {
    let mut buffer = [0; 4096];
    loop {
        let length = manager.recv(&mut buffer).expect("the director says that it is ready");
        if buffer[..length].windows(7).any(|window| window == b"READY=1") {
            return;
        }
    }
}

/// Every listener is open.
fn settle(director: &Director, shape: &Shape) {
    let last = shape.pools.len() - 1;
    let address = std::net::SocketAddr::from(([127, 100, (last / 250) as u8, (1 + last % 250) as u8], 8080));
    tidegate_integration::clock::wait_for("the last listener", Duration::from_secs(60), || {
        std::net::TcpStream::connect(address).ok()
    });
    assert!(director.status()["virtual_servers"].as_array().is_some_and(|it| it.len() == shape.pools.len()));
}

fn median(mut measure: impl FnMut() -> Duration) -> Duration {
    let mut samples: Vec<_> = (0..ROUNDS).map(|_| measure()).collect();
    samples.sort();
    samples[ROUNDS / 2]
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
