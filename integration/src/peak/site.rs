//! The same on three hosts: clients in one network, real servers in another, and a director between them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Answers, Clients, Phase, Server, Servers};
use crate::director::Launch;
use crate::lab::output_of;
use crate::namespace::{Lan, in_namespace};

const DIRECTOR: u8 = 1;
const CLIENTS: u8 = 2;
const SERVERS: u8 = 3;

/// Three hosts. The director's kernel forwards, and is the way of the real servers to the clients.
pub struct Site {
    lan: Lan,
    servers: Servers,
}

/// What the kernel's table says of one real server.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// 0 if it gets nothing new.
    pub weight: u32,
    /// Connections now.
    pub active: u32,
    /// Connections that have ended and are remembered.
    pub inactive: u32,
}

impl Site {
    /// What clients ask: the director.
    pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1)), 80);
    /// An address of the director that nothing but checks is to use.
    pub const CHECKS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 78, 0, DIRECTOR));

    /// With these real servers.
    pub fn start(servers: &[Server]) -> Self {
        // Both ends of every connection are in this process.
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("a limit");
        let lan = Lan::new(3);
        for (host, network) in [(DIRECTOR, 99), (CLIENTS, 99), (DIRECTOR, 78), (SERVERS, 78)] {
            let address = format!("10.{network}.0.{host}/24");
            output_of("ip", &["-n", &lan.host(host), "address", "add", &address, "dev", "eth0"]);
        }
        output_of("ip", &["-n", &lan.host(SERVERS), "route", "add", "10.99.0.0/24", "via", "10.77.0.1"]);
        in_namespace(&lan.host(DIRECTOR), || {
            for setting in [
                "ip_forward=1",
                "conf.all.send_redirects=0",
                "conf.eth0.send_redirects=0",
                // One address stands for many clients, who would each be told that they are refused.
                "icmp_ratelimit=0",
            ] {
                output_of("sysctl", &["-qw", &format!("net.ipv4.{setting}")]);
            }
        });
        let address = Ipv4Addr::new(10, 77, 0, SERVERS);
        let servers = in_namespace(&lan.host(SERVERS), || Servers::start_on(address.into(), servers));
        Self { lan, servers }
    }

    /// The real servers.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Does something where the director runs.
    pub fn on_director<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        in_namespace(&self.lan.host(DIRECTOR), action)
    }

    /// To start Tidegate there.
    pub fn launch(&self) -> Launch {
        Launch::default().through(&["ip", "netns", "exec", &self.lan.host(DIRECTOR)])
    }

    /// What the kernel's table holds now.
    pub fn places(&self) -> Vec<Place> {
        let table = self.on_director(|| std::fs::read_to_string("/proc/thread-self/net/ip_vs"));
        let table = table.expect("the kernel's table");
        let places = table.lines().filter_map(|line| line.trim_start().strip_prefix("-> "));
        let numbers = places.map(|place| place.split_whitespace().skip(2).map(str::parse));
        let place = |numbers: Vec<u32>| match numbers[..] {
            [weight, active, inactive] => Some(Place { weight, active, inactive }),
            _ => None,
        };
        numbers.filter_map(|numbers| place(numbers.collect::<Result<_, _>>().ok()?)).collect()
    }

    /// Loses all that comes from [`Site::CHECKS`] on its way to the real servers, or no longer.
    pub fn lose_checks(&self, lose: bool) {
        let rules = if lose {
            format!(
                "table ip switch {{ chain checks {{ type filter hook input priority 0; ip saddr {} drop; }}; }}",
                Self::CHECKS
            )
        } else {
            "delete table ip switch".to_owned()
        };
        let mut nft: Command = self.lan.command(SERVERS, "nft");
        let output = nft.arg(rules).output().expect("nft runs (Debian package nftables)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Sends clients in, as [`Clients::run`] does.
    pub fn run(&self, phases: &[Phase], seed: u64) -> Answers {
        in_namespace(&self.lan.host(CLIENTS), || Clients::new(Self::LISTEN).run(phases, seed))
    }
}
