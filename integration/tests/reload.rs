//! Reloads under load: real servers, a real load generator, network namespaces. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidegate_integration::clock::{now, wait_for};
use tidegate_integration::director::{Director, Launch};
use tidegate_integration::namespace::Lan;

const CLIENT: u8 = 1;
const DIRECTOR: u8 = 2;
const SERVERS: [u8; 3] = [3, 4, 5];
const BODY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct Nginx(Child);

impl Nginx {
    fn start(lan: &Lan, host: u8, folder: &std::path::Path) -> Self {
        let root = folder.join(format!("host{host}"));
        std::fs::create_dir_all(root.join("www")).unwrap();
        std::fs::write(root.join("www/index.html"), BODY).unwrap();
        let configuration = format!(
            "daemon off; user root; worker_processes 1; pid {root}/pid; error_log stderr;
             events {{ worker_connections 4096; }}
             http {{ access_log off; keepalive_requests 1000000;
                     server {{ listen 80; root {root}/www; location /health {{ return 200 ok; }} }} }}",
            root = root.display()
        );
        let file = root.join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut command = lan.command(host, "nginx");
        command.arg("-p").arg(&root).arg("-c").arg(&file).stdin(Stdio::null());
        Self(command.spawn().expect("nginx runs (Debian package nginx-light)"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Not kill: the master must take its workers along.
        let _ended = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ended = self.0.wait();
    }
}

/// The `step`th of a cycle in which servers come and go (one that has been there for a while always stays), and
/// weights, schedulers and checks change.
fn configuration(step: usize) -> String {
    let pools: [&[u8]; 6] = [&[3, 4, 5], &[3, 4], &[3, 4, 5], &[4, 5], &[3, 4, 5], &[3, 5]];
    let scheduler = ["wlc", "wrr", "lc", "rr", "wlc"][step % 5];
    let interval = ["200ms", "300ms", "500ms"][step % 3];
    let path = ["/health", "/"][step / 7 % 2];
    let mut text = format!(
        "[[virtual_server]]
         name = \"web\"
         listen = \"10.77.0.{DIRECTOR}:80\"
         scheduler = \"{scheduler}\"
         check = {{ type = \"http\", path = \"{path}\", interval = \"{interval}\", timeout = \"200ms\", fall = 3 }}\n"
    );
    for host in pools[step % pools.len()] {
        let weight = 1 + (step + usize::from(*host)) % 10;
        text.push_str(&format!(
            "[[virtual_server.real_server]]\naddress = \"10.77.0.{host}:80\"\nweight = {weight}\n"
        ));
    }
    text
}

/// Counts answers that are not whole and not right; wrk itself counts connections that fail.
const SCRIPT: &str = r#"
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(args) wrong = 0 end
function response(status, headers, body) if status ~= 200 or body ~= "BODY" then wrong = wrong + 1 end end
function done(summary, latency, requests)
  local total = 0
  for _, thread in ipairs(threads) do total = total + thread:get("wrong") end
  local e = summary.errors
  print("RESULT requests=" .. summary.requests .. " wrong=" .. total .. " connect=" .. e.connect ..
        " read=" .. e.read .. " write=" .. e.write .. " status=" .. e.status .. " timeout=" .. e.timeout)
end
"#;

fn wrk(lan: &Lan, script: &std::path::Path, headers: &[&str]) -> Child {
    let mut command = lan.command(CLIENT, "wrk");
    command.args(["-t1", "-c16", "-d30s", "--timeout", "10s", "-s"]).arg(script);
    for header in headers {
        command.args(["-H", header]);
    }
    command.arg(format!("http://10.77.0.{DIRECTOR}/")).stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().expect("wrk runs (Debian package wrk)")
}

fn result(load: Child) -> std::collections::BTreeMap<String, u64> {
    let output = load.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT ")).expect("wrk's result");
    line.split(' ')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(k, v)| (k.into(), v.parse().unwrap()))
        .collect()
}

#[test]
fn two_hundred_reloads_under_load_break_no_request() {
    let lan = Lan::new(5);
    let folder = tempfile::tempdir().unwrap();
    let _servers = SERVERS.map(|host| Nginx::start(&lan, host, folder.path()));
    let script = folder.path().join("load.lua");
    std::fs::write(&script, SCRIPT.replace("BODY", BODY)).unwrap();
    let host = lan.host(DIRECTOR);
    let director: Director =
        Launch::default().through(&["ip", "netns", "exec", &host]).start(&configuration(0));
    for host in SERVERS {
        director.wait_for_state("web", &format!("10.77.0.{host}:80"), "up");
    }

    let loads = [wrk(&lan, &script, &[]), wrk(&lan, &script, &["Connection: close"])];
    let start = now();
    for step in 1..=200_u32 {
        director.write(&configuration(step as usize));
        director.signal("HUP");
        let due = start + Duration::from_millis(140) * step;
        std::thread::sleep(due.saturating_duration_since(now()));
    }
    let [kept, closed] = loads.map(result);

    wait_for("the last configuration", Duration::from_secs(10), || {
        let weight = director.real_server("web", "10.77.0.3:80")["configured_weight"].as_u64();
        (weight == Some(1 + (200 + 3) % 10)).then_some(())
    });
    let generation = director.generation();
    println!("{generation} configurations were in force");
    assert!(generation > 150, "signals may fall together, but not most of them: {generation}");
    for load in [kept, closed] {
        assert!(load["requests"] > 1_000, "{load:?}");
        let failures: u64 = load.iter().filter(|(name, _)| *name != "requests").map(|(_, count)| count).sum();
        assert_eq!(failures, 0, "{load:?}");
    }
}
