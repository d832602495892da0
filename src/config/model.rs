//! The validated configuration. Whatever holds a [`Model`] need not check it again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_checkers::{Command, Spec};
use tidegate_vrrp::config::Router;
use tidegate_vrrp::holding::Holding;

/// A whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// The director itself.
    pub director: Director,
    /// Sorted by name; names are unique.
    pub virtual_servers: Vec<Arc<VirtualServer>>,
    /// Sorted by name; names are unique.
    pub virtual_routers: Vec<VirtualRouter>,
    /// What the virtual routers track, by name.
    pub watches: BTreeMap<Arc<str>, Watch>,
}

impl Model {
    /// The virtual server of this name.
    pub fn virtual_server(&self, name: &str) -> Option<&Arc<VirtualServer>> {
        let at = self.virtual_servers.binary_search_by(|it| (*it.name).cmp(name)).ok()?;
        Some(&self.virtual_servers[at])
    }

    /// The names of the virtual servers that are as they were `before`.
    pub fn kept(&self, before: &Self) -> BTreeSet<Arc<str>> {
        let kept = self.virtual_servers.iter().filter(|it| before.virtual_server(&it.name) == Some(it));
        kept.map(|it| Arc::clone(&it.name)).collect()
    }
}

/// `[director]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Director {
    /// Who this is, in logs and status; the host's name by default.
    pub id: String,
    /// Where the control socket is: `/run/tidegate/control.sock`.
    pub control_socket: PathBuf,
    /// The group that may use it besides the owner.
    pub control_group: Option<String>,
    /// How long a stop waits for connections to end.
    pub shutdown_grace: Duration,
    /// How often the dataplane is compared with what it should be, even when nothing has changed.
    pub resync_interval: Duration,
    /// Threads of the proxy; none: one per core.
    pub proxy_threads: Option<u16>,
    /// Checks that may run at the same time.
    pub max_concurrent_checks: u32,
    /// Programs of checks that may run at the same time.
    pub max_concurrent_scripts: u32,
    /// Where what was learned about real servers is kept over a restart; none: nowhere.
    pub state_file: Option<PathBuf>,
    /// `[director.log]`
    pub log: Log,
    /// `[director.ipvs]`
    pub ipvs: Ipvs,
}

/// `[director.ipvs]`: what is the kernel's own and no virtual server's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ipvs {
    /// `timeouts`
    pub timeouts: IpvsTimeouts,
    /// `[[director.ipvs.sync]]`, at most one of each role.
    pub sync: Vec<SyncDaemon>,
}

/// How long the kernel remembers connections, in whole seconds; none: as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IpvsTimeouts {
    /// Of an established TCP connection.
    pub tcp: Option<u32>,
    /// Of a TCP connection after a FIN.
    pub tcp_fin: Option<u32>,
    /// Of UDP.
    pub udp: Option<u32>,
}

/// A daemon of the kernel that tells the other director about connections, or hears of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncDaemon {
    /// Sends or receives, or one after the other.
    pub role: SyncRole,
    /// The interface of the multicast group.
    pub interface: Arc<str>,
    /// Told apart by it, 0 to 255.
    pub sync_id: u8,
    /// The longest UDP payload; none: what fits the interface.
    pub max_length: Option<u16>,
    /// The multicast group; none: 224.0.0.81.
    pub group: Option<IpAddr>,
    /// The UDP port; none: 8848.
    pub port: Option<u16>,
    /// TTL or hop limit; none: 1.
    pub ttl: Option<u8>,
}

/// What a synchronisation daemon does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncRole {
    /// `role = "active"`: sends.
    Active,
    /// `role = "backup"`: receives.
    Backup,
    /// `follow = "front"`: sends while that virtual router is Active, and receives otherwise.
    Follows(Arc<str>),
}

/// `[director.log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The least important line that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// And what may fail soon.
    Warn,
    /// And every decision.
    #[default]
    Info,
    /// And every check.
    Debug,
    /// Everything.
    Trace,
}

/// `[[virtual_server]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualServer {
    /// Unique.
    pub name: Arc<str>,
    /// Never empty; unique over all virtual servers.
    pub listen: Vec<Listen>,
    /// Who carries the traffic, with what only that dataplane has.
    pub dataplane: Dataplane,
    /// How a real server is chosen.
    pub scheduler: Scheduler,
    /// `scheduler_flags = ["fallback", "port"]`, for `sh` and `mh`.
    pub scheduler_flags: SchedulerFlags,
    /// Clients that stay with their real server.
    pub persistence: Option<Persistence>,
    /// Least total weight of healthy servers.
    pub quorum: u32,
    /// Half the width of the band around it.
    pub hysteresis: u32,
    /// Where traffic goes while the quorum is lost; never one of the pool.
    pub sorry_server: Option<SorryServer>,
    /// The ramp after a recovery; zero for none.
    pub slow_start: Duration,
    /// `overload.mode`
    pub overload: tidegate_engine::Mode,
    /// All must pass; empty (`type = "none"`): the servers are always healthy.
    pub checks: Vec<Check>,
    /// Sorted by address; addresses are unique.
    pub real_servers: Vec<RealServer>,
}

/// `[[virtual_server.check]]`, never of `type = "none"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `name`, or the type and, from the second of that type on, its ordinal: `http`, `http-2`. Unique.
    pub name: Arc<str>,
    /// What is asked.
    pub spec: Arc<Spec>,
    /// In place of the real server's port.
    pub port: Option<u16>,
    /// In place of the real server's address; its port too unless `port` says otherwise.
    pub connect_to: Option<SocketAddr>,
    /// The local address to use.
    pub bind: Option<IpAddr>,
    /// The mark on the packets.
    pub fwmark: Option<u32>,
    /// From start to start.
    pub interval: Duration,
    /// Over the whole check; at most the interval.
    pub timeout: Duration,
    /// Passes in a row that raise.
    pub rise: u32,
    /// Failures in a row that take down.
    pub fall: u32,
    /// What a server counts as before the first outcome.
    pub initially: tidegate_engine::Initially,
    /// Once passed, its failures no longer remove the server.
    pub only_admission: bool,
}

/// `[[virtual_server.real_server]]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RealServer {
    /// The key within the virtual server.
    pub address: SocketAddr,
    /// 0 to 65,535.
    pub weight: u32,
    /// The most connections; 0: no limit.
    pub max_connections: u32,
    /// Having reached the most, the server gets new connections again below this; 0: the kernel's three quarters.
    /// Only with IPVS.
    pub resume_below: u32,
    /// How packets come to it. Always [`Forwarding::Nat`] with the proxy.
    pub forwarding: Forwarding,
}

/// `sorry_server = "127.0.0.1:8081"`, or with IPVS also `{ address = "…", forwarding = "direct" }`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SorryServer {
    /// Where.
    pub address: SocketAddr,
    /// How packets come to it.
    pub forwarding: Forwarding,
}

/// What a virtual server takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listen {
    /// What comes to an address and a port.
    Address {
        /// The transport protocol.
        protocol: Protocol,
        /// The address.
        address: SocketAddr,
    },
    /// What the packet filter has marked: `fwmark = 7`. Only with IPVS.
    Fwmark {
        /// Never 0.
        mark: u32,
        /// `fwmark_family = "ipv4"`, the default, or `"ipv6"`.
        family: Family,
    },
}

/// Address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Family {
    /// IPv4
    #[default]
    Ipv4,
    /// IPv6
    Ipv6,
}

/// How packets come to a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forwarding {
    /// `"nat"`: the destination address is rewritten, both ways.
    #[default]
    Nat,
    /// `"direct"`: only the Ethernet address is.
    Direct,
    /// `"tunnel"`, or a table such as `{ tunnel = "gue", port = 6080, checksum = "none" }`
    Tunnel(Tunnel),
}

/// What is put around a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tunnel {
    /// `"ipip"`
    Ipip,
    /// `"gue"`, with the port that it needs.
    Gue {
        /// Of the real server.
        port: u16,
        /// Over the outer packet.
        checksum: Checksum,
    },
    /// `"gre"`
    Gre {
        /// Over the outer packet.
        checksum: Checksum,
    },
}

/// The checksum of a tunnel's outer packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// `"none"`
    #[default]
    None,
    /// `"sum"`
    Sum,
    /// `"remote"`: remote checksum offload, with GUE only.
    Remote,
}

/// Transport protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `tcp`
    Tcp,
    /// `udp`
    Udp,
    /// `sctp`, only with IPVS.
    Sctp,
}

/// `dataplane = "proxy"`, the default, or `"ipvs"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dataplane {
    /// The daemon itself.
    Proxy(ProxyOptions),
    /// The kernel.
    Ipvs(IpvsOptions),
}

impl Dataplane {
    /// Which it is.
    pub fn kind(&self) -> DataplaneKind {
        match self {
            Self::Proxy(_) => DataplaneKind::Proxy,
            Self::Ipvs(_) => DataplaneKind::Ipvs,
        }
    }
}

/// The dataplanes that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataplaneKind {
    /// The daemon itself.
    Proxy,
    /// The kernel.
    Ipvs,
}

/// What only the proxy has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyOptions {
    /// What becomes of the connections of a server that died.
    pub on_down: OnDown,
    /// Over all attempts to reach a real server for one connection.
    pub connect_timeout: Duration,
    /// A connection without a byte in either direction for this long is closed.
    pub idle_timeout: Duration,
    /// Tells the real server who the client is.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// What only IPVS has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpvsOptions {
    /// `one_packet = true`: every datagram is scheduled by itself; UDP or an fwmark only.
    pub one_packet: bool,
    /// `persistence = { engine = "sip" }`: what tells clients apart in place of their address; UDP only.
    pub persistence_engine: Option<Arc<str>>,
    /// What becomes of the entry of a server that died.
    pub on_down: IpvsOnDown,
    /// What becomes of the kernel's table when the director stops.
    pub on_stop: OnStop,
}

/// `on_down` with IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IpvsOnDown {
    /// `quiesce`: weight 0, so that live connections go on.
    #[default]
    Quiesce,
    /// `remove`: the entry goes, and its connections with it.
    Remove,
}

/// `on_stop` with IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStop {
    /// `keep`: the kernel goes on with the last decision.
    #[default]
    Keep,
    /// `clear`: the entries are taken out.
    Clear,
}

/// IPVS's names of schedulers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Scheduler {
    /// `rr`
    RoundRobin,
    /// `wrr`
    WeightedRoundRobin,
    /// `lc`
    LeastConnection,
    /// `wlc`
    #[default]
    WeightedLeastConnection,
    /// `sh`
    SourceHash,
    /// `mh`
    Maglev,
    /// `dh`, only with IPVS like all that follow.
    DestinationHash,
    /// `lblc`
    LocalityLeastConnection,
    /// `lblcr`
    LocalityLeastConnectionReplicated,
    /// `sed`
    ShortestExpectedDelay,
    /// `nq`
    NeverQueue,
    /// `fo`
    WeightedFailover,
    /// `ovf`
    WeightedOverflow,
    /// `twos`
    PowerOfTwo,
}

impl Scheduler {
    /// Whether a client may be given any server that has room, and not only its own.
    pub fn gives_any_server(self, flags: SchedulerFlags) -> bool {
        flags.fallback || !matches!(self, Self::SourceHash | Self::Maglev | Self::DestinationHash)
    }
}

/// Flags of the hashing schedulers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchedulerFlags {
    /// Choose another server when the hash points at one that cannot be used.
    pub fallback: bool,
    /// Hash the client's port too.
    pub port: bool,
}

/// `persistence = { timeout = "300s", prefix_v4 = 32, prefix_v6 = 128 }`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// From the last connection.
    pub timeout: Duration,
    /// 1 to 32.
    pub prefix_v4: u8,
    /// 1 to 128.
    pub prefix_v6: u8,
}

/// Versions of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// `v1`
    V1,
    /// `v2`
    V2,
}

/// What becomes of the connections of a server that died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDown {
    /// `keep`
    #[default]
    Keep,
    /// `reset`
    Reset,
}

/// `[[vrrp]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualRouter {
    /// What VRRP needs to know.
    pub router: Arc<Router>,
    /// What belongs to the Active director.
    pub holding: Arc<Holding>,
    /// What is run at each change of state.
    pub notify: Option<Notify>,
}

/// `notify = ["/etc/tidegate/notify"]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// The program; the router's name and state follow its own arguments.
    pub command: Command,
    /// When it is killed.
    pub timeout: Duration,
}

/// `[[vrrp.track]]`: something that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watch {
    /// `type = "interface"`: up while it has a carrier.
    Interface(Arc<str>),
    /// `type = "script"`: up while it ends with 0.
    Script {
        /// What is run.
        command: Command,
        /// From start to start.
        interval: Duration,
        /// When it is killed, which is a failure.
        timeout: Duration,
        /// Passes in a row that raise.
        rise: u32,
        /// Failures in a row that take down.
        fall: u32,
    },
    /// `type = "file"`: the number in it; 0 where there is no file, 1 where it is empty.
    File {
        /// Where.
        path: PathBuf,
        /// How often it is looked at.
        interval: Duration,
    },
    /// `type = "process"`: up while so many of them run.
    Process {
        /// The program's name.
        program: String,
        /// How many.
        least: u32,
        /// How often they are looked for.
        interval: Duration,
    },
    /// `type = "virtual_server"`: up while its quorum is held.
    Quorum(Arc<str>),
}
