//! The proxy beside HAProxy and nginx: new connections, requests over kept ones, bulk, and memory.
//!
//! `cargo bench -p tidegate-integration --bench proxy`, as root (network namespaces), for two minutes or so. Client,
//! director and two nginx real servers are hosts of their own and share the machine's cores; what is measured is
//! therefore what the director leaves to the others. All directors run at the same time, one is asked at a time, and
//! each round asks every one of them.
//!
//! Needs, besides what the tests need, the Debian packages haproxy and libnginx-mod-stream.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tidegate_integration::clock::wait_for;
use tidegate_integration::director::{Director, Launch, program};
use tidegate_integration::namespace::Lan;

const ROUNDS: usize = 5;
/// Of one measurement with wrk.
const SECONDS: u64 = 2;
const CLIENTS: usize = 64;
const IDLE: u64 = 4000;
const LARGE: u64 = 1 << 30;

const CLIENT: u8 = 1;
const DIRECTOR: u8 = 2;
const REAL_SERVERS: [u8; 2] = [3, 4];

const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// A program in the foreground on a host, killed when dropped.
struct Peer {
    process: Child,
    _folder: TempDir,
}

struct Contender {
    name: &'static str,
    pid: u32,
    /// Where it listens; it may want other settings for bulk.
    port: u16,
    bulk: u16,
    connections: Vec<f64>,
    requests: Vec<f64>,
    gigabits: Vec<f64>,
    /// Bytes for each idle connection.
    memory: f64,
}

fn main() {
    for (file, package) in
        [("/usr/sbin/haproxy", "haproxy"), (STREAM_MODULE, "libnginx-mod-stream"), ("/usr/bin/wrk", "wrk")]
    {
        assert!(Path::new(file).exists(), "{file} is missing: install the Debian package {package}");
    }
    // Built before anything is timed.
    program();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let lan = Lan::new(4);
    for host in [CLIENT, DIRECTOR] {
        let settings = ["net.ipv4.ip_local_port_range=10240 65000", "net.ipv4.tcp_tw_reuse=1"];
        run(lan.command(host, "sysctl").arg("-qw").args(settings));
    }
    let _real_servers = REAL_SERVERS.map(|host| real_server(&lan, host));
    let tidegate = tidegate(&lan);
    let (haproxy, nginx) = (haproxy(&lan), nginx_stream(&lan));
    let mut contenders = [
        Contender::new("Tidegate", tidegate.pid(), 8001, 8001),
        Contender::new("HAProxy", haproxy.process.id(), 8002, 8003),
        Contender::new("nginx stream", nginx.process.id(), 8004, 8004),
    ];
    // First, because what was allocated once is kept.
    for contender in &mut contenders {
        wait_for(contender.name, Duration::from_secs(10), || {
            run_quietly(lan.command(CLIENT, "curl").args(["-sf", &contender.url("/")]))
        });
        contender.memory = memory(&lan, contender);
    }
    for _ in 0..ROUNDS {
        for contender in &mut contenders {
            contender.connections.push(wrk(&lan, &contender.url("/"), &["-H", "Connection: close"]));
            contender.requests.push(wrk(&lan, &contender.url("/"), &[]));
            contender.gigabits.push(bulk(&lan, contender));
        }
    }
    print(&contenders, &load);
}

impl Contender {
    fn new(name: &'static str, pid: u32, port: u16, bulk: u16) -> Self {
        let [connections, requests, gigabits] = [const { Vec::new() }; 3];
        Self { name, pid, port, bulk, connections, requests, gigabits, memory: 0.0 }
    }

    fn url(&self, path: &str) -> String {
        format!("http://10.77.0.{DIRECTOR}:{}{path}", self.port)
    }
}

fn print(contenders: &[Contender], load: &str) {
    println!("Medians of {ROUNDS} rounds; load average at the start: {}", load.trim());
    println!();
    println!(
        "| director | connections/s | over HAProxy's | requests/s, {CLIENTS} clients | over HAProxy's | bulk Gbit/s | over HAProxy's | bytes per idle connection |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let medians = |it: &Contender| [&it.connections, &it.requests, &it.gigabits].map(|of| median(of));
    let haproxy = contenders.iter().find(|it| it.name == "HAProxy").map(medians).unwrap();
    for contender in contenders {
        let own = medians(contender);
        let over = [0, 1, 2].map(|which| own[which] / haproxy[which]);
        println!(
            "| {} | {:.0} | {:.2} | {:.0} | {:.2} | {:.1} | {:.2} | {:.0} |",
            contender.name, own[0], over[0], own[1], over[1], own[2], over[2], contender.memory
        );
    }
}

fn tidegate(lan: &Lan) -> Director {
    let host = lan.host(DIRECTOR);
    let servers = REAL_SERVERS
        .map(|server| format!("[[virtual_server.real_server]]\naddress = \"10.77.0.{server}:80\"\n"))
        .concat();
    let configuration = format!(
        "[[virtual_server]]\nname = \"web\"\nlisten = \"10.77.0.{DIRECTOR}:8001\"\nscheduler = \"lc\"\n\
         [virtual_server.check]\ntype = \"none\"\n{servers}"
    );
    Launch::default().through(&["ip", "netns", "exec", &host]).start(&configuration)
}

/// With the settings that are best for each: bulk by splice through large pipes.
fn haproxy(lan: &Lan) -> Peer {
    let servers = REAL_SERVERS.map(|server| format!("    server s{server} 10.77.0.{server}:80\n")).concat();
    let configuration = format!(
        "global
    maxconn 5000
    maxpipes 500
    tune.pipesize 1048576
defaults
    mode tcp
    balance leastconn
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen small
    bind 10.77.0.{DIRECTOR}:8002
{servers}
listen bulk
    bind 10.77.0.{DIRECTOR}:8003
    option splice-request
    option splice-response
{servers}"
    );
    Peer::start(lan, DIRECTOR, "haproxy", &configuration, |file| vec!["-db".into(), "-f".into(), file])
}

fn nginx_stream(lan: &Lan) -> Peer {
    let servers = REAL_SERVERS.map(|server| format!("server 10.77.0.{server}:80; ")).concat();
    let body = format!(
        "load_module {STREAM_MODULE};
worker_processes auto;
events {{ worker_connections 10000; }}
stream {{
    upstream web {{ least_conn; {servers} }}
    server {{ listen 10.77.0.{DIRECTOR}:8004 reuseport backlog=4096; proxy_pass web; }}
}}"
    );
    nginx(lan, DIRECTOR, &body)
}

/// A short answer, a large one, and one that takes for ever.
fn real_server(lan: &Lan, host: u8) -> Peer {
    let body = format!(
        "worker_processes 1;
events {{ worker_connections 10000; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 100000000;
    server {{
        listen 10.77.0.{host}:80 backlog=4096;
        location / {{ return 200 \"hello\\n\"; }}
        location /large {{ root .; }}
        location /slow {{ alias large; limit_rate 1; }}
    }}
}}"
    );
    nginx(lan, host, &body)
}

fn nginx(lan: &Lan, host: u8, body: &str) -> Peer {
    let head = "daemon off;\npid nginx.pid;\nuser root;\nworker_rlimit_nofile 20000;\n";
    Peer::start(lan, host, "nginx", &format!("{head}{body}\n"), |file| {
        let folder = Path::new(&file).parent().unwrap().display().to_string();
        ["-e", "error.log", "-p", &folder, "-c", &file].map(str::to_owned).to_vec()
    })
}

impl Peer {
    fn start(
        lan: &Lan,
        host: u8,
        name: &str,
        configuration: &str,
        words: impl Fn(String) -> Vec<String>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("configuration");
        std::fs::write(&file, configuration).unwrap();
        std::fs::File::create(folder.path().join("large")).unwrap().set_len(LARGE).unwrap();
        let mut command = lan.command(host, name);
        command.args(words(file.display().to_string())).stdin(Stdio::null());
        Self { process: command.spawn().unwrap(), _folder: folder }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Not by SIGKILL, which would leave nginx's workers behind.
        let _ended_already = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

/// Requests a second. Every connection and request must be answered.
fn wrk(lan: &Lan, url: &str, words: &[&str]) -> f64 {
    let mut command = lan.command(CLIENT, "wrk");
    command.args(["-t", "2", "-c", &CLIENTS.to_string(), "-d", &format!("{SECONDS}s")]).args(words).arg(url);
    let report = run(&mut command);
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{url}: {report}");
    number_after(&report, "Requests/sec:")
}

fn bulk(lan: &Lan, contender: &Contender) -> f64 {
    let url = format!("http://10.77.0.{DIRECTOR}:{}/large", contender.bulk);
    let words = ["-sf", "--max-time", "60", "-o", "/dev/null", "-w", "%{size_download} %{speed_download}"];
    let report = run(lan.command(CLIENT, "curl").args(words).arg(url));
    let (size, speed) = report.split_once(' ').unwrap();
    assert_eq!(size.parse(), Ok(LARGE));
    speed.parse::<f64>().unwrap() * 8.0 / 1e9
}

/// Resident bytes for each of many connections that have begun and wait.
fn memory(lan: &Lan, contender: &Contender) -> f64 {
    let before = resident(contender.pid);
    let waiting = format!("ulimit -n 20000; exec wrk -t 1 -c {IDLE} -d 8s {}", contender.url("/slow"));
    let mut clients = lan.command(CLIENT, "sh");
    let mut clients = clients.args(["-c", &waiting]).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(6));
    assert!(connections(lan, contender.port) >= IDLE, "{} does not hold {IDLE} connections", contender.name);
    let after = resident(contender.pid);
    assert!(clients.wait().unwrap().success());
    (after as f64 - before as f64) / IDLE as f64
}

/// Clients' connections to this port that are established.
fn connections(lan: &Lan, port: u16) -> u64 {
    let filter = format!("( sport = :{port} )");
    run(lan.command(DIRECTOR, "ss").args(["-Htn", "state", "established", &filter])).lines().count() as u64
}

/// Of a process and its children, in bytes.
fn resident(pid: u32) -> u64 {
    let read = |path: String| std::fs::read_to_string(path).unwrap();
    let status = read(format!("/proc/{pid}/status"));
    let kilobytes = number_after(&status, "VmRSS:") as u64;
    let children = read(format!("/proc/{pid}/task/{pid}/children"));
    kilobytes * 1024 + children.split_whitespace().map(|child| resident(child.parse().unwrap())).sum::<u64>()
}

fn number_after(text: &str, what: &str) -> f64 {
    let rest = text.split_once(what).unwrap_or_else(|| panic!("no {what} in {text}")).1;
    rest.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn run_quietly(command: &mut Command) -> Option<()> {
    command.output().unwrap().status.success().then_some(())
}

fn median(samples: &[f64]) -> f64 {
    let mut samples = samples.to_vec();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
