//! Directors that elect one another: virtual routers as either program is told of them, and how to run either.

use std::net::IpAddr;
use std::time::Duration;

use crate::clock::now;
use crate::director::{Director, Launch};
use crate::keepalived::Keepalived;
use crate::namespace::{Lan, in_namespace};

/// A virtual router on `eth0`, but for who runs it.
#[derive(Debug, Clone)]
pub struct Router {
    /// Its name, and the number in its addresses.
    pub id: u8,
    /// Of the protocol.
    pub version: u8,
    /// IPv6, with `fe80::ID` before its address.
    pub ipv6: bool,
    /// Each other of these hosts is a peer; none: multicast.
    pub hosts: Vec<u8>,
    /// Takes adverts of unicast peers with less than 255, which is what keepalived sends over IPv6 by default.
    pub min_ttl: Option<u8>,
    /// Between adverts.
    pub interval: Duration,
    /// The checksum covers the message only, which keepalived 2.2.7 does not know.
    pub bare_checksum: bool,
    /// Of version 2.
    pub password: Option<&'static str>,
}

/// What a director runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// This project's.
    Tidegate,
    /// Its peer.
    Keepalived,
}

/// A director at work, stopped when dropped.
pub enum Running {
    /// This project's.
    Tidegate(Director),
    /// Its peer.
    Keepalived(Keepalived),
}

impl Router {
    /// Version 3, IPv4, multicast.
    pub fn new(id: u8, interval: Duration) -> Self {
        Self {
            id,
            version: 3,
            ipv6: false,
            hosts: Vec::new(),
            min_ttl: None,
            interval,
            bare_checksum: false,
            password: None,
        }
    }

    /// What clients ask.
    pub fn address(&self) -> IpAddr {
        let text = if self.ipv6 { format!("fd77::{}", self.id) } else { format!("10.77.0.{}", self.id) };
        text.parse().expect("an address")
    }

    /// As `[[vrrp]]` of a host.
    pub fn tidegate(&self, host: u8, priority: u8) -> String {
        let mut text = format!(
            "[[vrrp]]\nname = \"r{}\"\ninterface = \"eth0\"\nrouter_id = {}\nversion = {}\npriority = {priority}\n\
             advert_interval = \"{}ms\"\naddresses = {:?}\n",
            self.id,
            self.id,
            self.version,
            self.interval.as_millis(),
            self.addresses(),
        );
        if !self.hosts.is_empty() {
            let own = self.host(host);
            text += &format!("source = \"{own}\"\nunicast_peers = {:?}\n", self.peers(host));
        }
        if let Some(ttl) = self.min_ttl {
            text += &format!("min_ttl = {ttl}\n");
        }
        if self.bare_checksum {
            text += "checksum = \"message\"\n";
        }
        if let Some(password) = self.password {
            text += &format!("password = \"{password}\"\n");
        }
        text
    }

    /// As `vrrp_instance` of a host.
    pub fn keepalived(&self, host: u8, priority: u8) -> String {
        let mut text = format!(
            "vrrp_instance r{} {{\nstate BACKUP\ninterface eth0\nvirtual_router_id {}\nversion {}\n\
             priority {priority}\nadvert_int {}\nvirtual_ipaddress {{\n{}\n}}\n",
            self.id,
            self.id,
            self.version,
            self.interval.as_secs_f64(),
            self.addresses().join("\n"),
        );
        if !self.hosts.is_empty() {
            let (own, peers) = (self.host(host), self.peers(host).join("\n"));
            text += &format!("unicast_src_ip {own}\nunicast_peer {{\n{peers}\n}}\n");
            if self.min_ttl.is_none() {
                text += "unicast_ttl 255\n";
            }
        }
        if let Some(password) = self.password {
            text += &format!("authentication {{\nauth_type PASS\nauth_pass {password}\n}}\n");
        }
        text + "}\n"
    }

    fn addresses(&self) -> Vec<String> {
        match self.ipv6 {
            true => vec![format!("fe80::{}/64", self.id), format!("{}/64", self.address())],
            false => vec![format!("{}/24", self.address())],
        }
    }

    fn host(&self, number: u8) -> String {
        if self.ipv6 { format!("fd77::{number}") } else { format!("10.77.0.{number}") }
    }

    fn peers(&self, host: u8) -> Vec<String> {
        self.hosts.iter().filter(|it| **it != host).map(|it| self.host(*it)).collect()
    }
}

impl Program {
    /// Runs virtual routers on a host, all with this priority.
    pub fn start(self, lan: &Lan, host: u8, routers: &[Router], priority: u8) -> Running {
        match self {
            Self::Tidegate => {
                let text: String = routers.iter().map(|it| it.tidegate(host, priority)).collect();
                Running::Tidegate(launch(lan, host).start(&text))
            }
            Self::Keepalived => {
                let text: String = routers.iter().map(|it| it.keepalived(host, priority)).collect();
                // As a realtime process, like this project's thread.
                let text = format!("global_defs {{\nvrrp_rt_priority 50\nvrrp_no_swap\n}}\n{text}");
                Running::Keepalived(in_namespace(&lan.host(host), || Keepalived::vrrp(&text)))
            }
        }
    }
}

/// How to start this project's director on a host.
pub fn launch(lan: &Lan, host: u8) -> Launch {
    Launch::default().through(&["ip", "netns", "exec", &lan.host(host)])
}

impl Running {
    /// What it has logged so far.
    pub fn log(&self) -> String {
        match self {
            Self::Tidegate(director) => director.log(),
            Self::Keepalived(keepalived) => keepalived.log(),
        }
    }

    /// Tells it to stop in order.
    pub fn terminate(&self) {
        match self {
            Self::Tidegate(director) => director.signal("TERM"),
            Self::Keepalived(keepalived) => keepalived.terminate(),
        }
    }

    /// Stops it in order and waits for the end.
    pub fn stop(self) {
        self.terminate();
        if let Self::Tidegate(mut director) = self {
            assert!(director.wait(Duration::from_secs(20)).success(), "{}", director.log());
        }
    }
}

/// Waits until one host holds the addresses of all routers, and no other of these hosts any.
pub fn wait_for_holder(what: &str, lan: &Lan, hosts: &[u8], routers: &[Router], holder: u8, limit: Duration) {
    let deadline = now() + limit;
    loop {
        let held: Vec<_> = hosts.iter().map(|host| (*host, held(lan, *host, routers))).collect();
        if held.iter().all(|(host, ids)| ids.len() == if *host == holder { routers.len() } else { 0 }) {
            return;
        }
        assert!(now() < deadline, "{what}: host {holder} should hold all, but the hosts hold {held:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Of which routers a host holds the address.
pub fn held(lan: &Lan, host: u8, routers: &[Router]) -> Vec<u8> {
    let addresses = lan.addresses(host);
    routers.iter().filter(|router| addresses.contains(&router.address())).map(|router| router.id).collect()
}
