//! Several hosts on one machine: network namespaces joined by a bridge in a namespace of its own.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

/// Hosts `10.77.0.1`, `10.77.0.2`, … (`fd77::1`, …) on one Ethernet. All of it is removed when dropped with what runs
/// there, also when the test fails. A host with a higher number has a higher link-local address too.
pub struct Lan {
    prefix: String,
    hosts: u8,
}

impl Lan {
    /// So many hosts. Needs root and iproute2.
    pub fn new(hosts: u8) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("tg{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let this = Self { prefix, hosts };
        let switch = this.switch();
        ip(&["netns", "add", &switch]);
        ip(&["-n", &switch, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "br0", "up"]);
        for host in 1..=hosts {
            let (name, port) = (this.host(host), format!("p{host}"));
            ip(&["netns", "add", &name]);
            ip(&[
                "-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name,
            ]);
            ip(&["-n", &name, "link", "set", "eth0", "address", &format!("02:77:00:00:00:{host:02x}")]);
            ip(&["-n", &switch, "link", "set", &port, "master", "br0", "up"]);
            ip(&["-n", &name, "link", "set", "lo", "up"]);
            ip(&["-n", &name, "address", "add", &format!("10.77.0.{host}/24"), "dev", "eth0"]);
            ip(&["-n", &name, "address", "add", &format!("fd77::{host}/64"), "dev", "eth0", "nodad"]);
            ip(&["-n", &name, "link", "set", "eth0", "up"]);
        }
        this
    }

    /// The namespace of a host, counted from 1.
    pub fn host(&self, number: u8) -> String {
        format!("{}-h{number}", self.prefix)
    }

    /// A command that runs on a host.
    pub fn command(&self, host: u8, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.host(host), program]);
        command
    }

    /// Cuts or mends a host's link.
    pub fn set_link(&self, host: u8, up: bool) {
        ip(&["-n", &self.switch(), "link", "set", &format!("p{host}"), if up { "up" } else { "down" }]);
    }

    /// Takes a host off the bridge or puts it back: unlike [`Lan::set_link`] it does not notice.
    pub fn set_attached(&self, host: u8, attached: bool) {
        let (switch, port) = (self.switch(), format!("p{host}"));
        let master: &[_] = if attached { &["master", "br0"] } else { &["nomaster"] };
        ip(&[&["-n", &switch, "link", "set", &port], master].concat());
    }

    /// All addresses of a host.
    pub fn addresses(&self, host: u8) -> Vec<IpAddr> {
        let links: Value =
            serde_json::from_str(&ip(&["-n", &self.host(host), "-j", "address", "show"])).expect("JSON");
        let infos = links.as_array().into_iter().flatten().flat_map(|link| link["addr_info"].as_array());
        let texts = infos.flatten().filter_map(|info| info["local"].as_str());
        texts.map(|text| text.parse().expect("an address")).collect()
    }

    /// Kills every program on a host at once.
    pub fn kill_all(&self, host: u8) {
        kill_all(&self.host(host));
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.prefix)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let names = (1..=self.hosts).map(|host| self.host(host)).chain([self.switch()]);
        for name in names {
            kill_all(&name);
            let _never_made = Command::new("ip").args(["netns", "delete", &name]).output();
        }
    }
}

/// Does something in a network namespace, such as [`Lan::host`]. Sockets, threads and programs that it starts stay
/// there.
pub fn in_namespace<T: Send>(name: &str, action: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/run/netns/{name}")).expect("a network namespace");
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
            action()
        });
        done.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Kills whatever runs in a network namespace; nothing if there is no such namespace.
fn kill_all(namespace: &str) {
    let output = Command::new("ip").args(["netns", "pids", namespace]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for process in text.lines().filter_map(|line| line.parse().ok().and_then(Pid::from_raw)) {
        let _ended_already = kill_process(process, Signal::KILL);
    }
}

/// What it prints.
fn ip(words: &[&str]) -> String {
    let Output { status, stdout, stderr } =
        Command::new("ip").args(words).output().expect("ip runs (Debian package iproute2)");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "ip {}: {stderr}(network namespaces need root)", words.join(" "));
    String::from_utf8(stdout).expect("output in UTF-8")
}
