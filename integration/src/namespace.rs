//! Several hosts on one machine: network namespaces joined by a bridge in a namespace of its own.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// Hosts `10.77.0.1`, `10.77.0.2`, … (`fd77::1`, …) on one Ethernet. All of it is removed when dropped, also when
/// the test fails.
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

    fn switch(&self) -> String {
        format!("{}-sw", self.prefix)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let names = (1..=self.hosts).map(|host| self.host(host)).chain([self.switch()]);
        for name in names {
            let _never_made = Command::new("ip").args(["netns", "delete", &name]).output();
        }
    }
}

fn ip(words: &[&str]) {
    let Output { status, stderr, .. } =
        Command::new("ip").args(words).output().expect("ip runs (Debian package iproute2)");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "ip {}: {stderr}(network namespaces need root)", words.join(" "));
}
