//! The status as it goes over the control socket: every number behind every decision.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::dataplane::{Counters, DestinationCounters, ServiceCounters};

/// The whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon itself.
    pub director: Director,
    /// Sorted by name.
    pub virtual_servers: Vec<VirtualServer>,
    /// Sorted by name.
    #[serde(default)]
    pub virtual_routers: Vec<VirtualRouter>,
    /// What serves them; null while there are none.
    #[serde(default)]
    pub vrrp: Option<VrrpThread>,
}

/// The daemon itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Director {
    /// Who this is.
    pub id: String,
    /// The program's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// Since the start.
    pub uptime_seconds: f64,
    /// Stopping: no new connections.
    pub stopping: bool,
    /// Where the configuration comes from and how the last reload went.
    pub configuration: Configuration,
    /// The checks as a whole.
    pub checks: Checks,
    /// The dataplane as a whole.
    pub dataplane: Dataplane,
}

/// Where the configuration comes from and how the last reload went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The file.
    pub file: String,
    /// Counts the configurations that were applied, from 1.
    pub generation: u64,
    /// Since the one that runs was applied.
    pub age_seconds: f64,
    /// Why the last reload was not applied; null when it was.
    pub last_error: Option<String>,
}

/// The checks as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checks {
    /// Distinct questions; several virtual servers may share one.
    pub probes: u64,
    /// Under way now.
    pub running: u64,
    /// Begun since the start.
    pub started: u64,
    /// Of these, begun late because too many were under way.
    pub late: u64,
    /// Outcomes that say nothing about the server because the check could not be run.
    pub not_run: u64,
    /// Probes that have stopped giving results.
    #[serde(default)]
    pub silent: u64,
    /// Checks whose probe is one of these; the first few.
    #[serde(default)]
    pub silent_checks: Vec<SilentCheck>,
}

/// A check that has stopped giving results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SilentCheck {
    /// Its virtual server's name.
    pub virtual_server: String,
    /// The real server.
    pub real_server: SocketAddr,
    /// Its name.
    pub check: String,
    /// Since the last result, or since it should have begun.
    pub age_seconds: f64,
}

/// The dataplane as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dataplane {
    /// False when it did not answer in time: the numbers of connections and bytes are then 0.
    pub answering: bool,
    /// Why it could not be read, if so.
    pub error: Option<String>,
    /// Client connections that live.
    pub active: u64,
    /// The most of them that are taken.
    pub connection_limit: u64,
    /// The descriptor limit that this comes from.
    pub descriptor_limit: u64,
}

/// One virtual server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// Its name.
    pub name: String,
    /// Who carries the traffic: `proxy` or `ipvs`.
    pub dataplane: String,
    /// IPVS's name of it.
    pub scheduler: String,
    /// Its addresses.
    pub listen: Vec<Listen>,
    /// The arithmetic.
    pub quorum: Quorum,
    /// The stand-in, if there is one.
    pub sorry_server: Option<SorryServer>,
    /// Demand against capacity; null while the overload protection is off.
    #[serde(default)]
    pub overload: Option<Overload>,
    /// The pool, sorted by address.
    pub real_servers: Vec<RealServer>,
}

/// One address of a virtual server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listen {
    /// What it is called in the log: `tcp 192.0.2.1:80`, `fwmark 7 ipv4`.
    pub name: String,
    /// Which; null for an fwmark.
    pub address: Option<SocketAddr>,
    /// Why it is not served; null when it is.
    pub error: Option<String>,
    /// Connections or UDP sessions begun.
    pub accepted: u64,
    /// Turned away because no real server could take them.
    pub no_destination: u64,
    /// Turned away at the director's own limit.
    pub over_limit: u64,
}

/// The arithmetic of a quorum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quorum {
    /// Is it held?
    pub held: bool,
    /// Since it changed, or since the virtual server is known.
    pub for_seconds: f64,
    /// W: the weights of the healthy servers that are not drained.
    pub sum: u64,
    /// Q.
    pub quorum: u32,
    /// H.
    pub hysteresis: u32,
    /// Gained when W comes up to this.
    pub gained_at: u64,
    /// Lost when W falls below this.
    pub lost_below: u64,
}

/// Demand against capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overload {
    /// `protect` or `observe`.
    pub mode: String,
    /// The dataplane is counting; if not, the checks decide alone.
    pub sampled: bool,
    /// Connections per second that are served or turned away.
    pub demand: f64,
    /// Connections per second that the real servers in service can serve; null while that is not known of all.
    pub capacity: Option<f64>,
    /// Connections per second that are turned away, or given to the sorry server.
    pub turned_away: f64,
}

/// What the overload protection knows of a real server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// `as checked`, `kept` (it serves, whatever its checks say) or `held` (it has fallen too often).
    pub stand: String,
    /// The most connections now: the least of what was learned, configured, and allowed after a return; null: any.
    pub cap: Option<u32>,
    /// What was learned; null: nothing has been held back yet.
    pub learned_cap: Option<u32>,
    /// How long a connection lasts now; null: too few have ended.
    pub residence_ms: Option<f64>,
    /// How long when none waits; null: not known yet.
    pub residence_at_rest_ms: Option<f64>,
    /// How sure the latter is, from 0 to 1.
    pub sureness: f64,
    /// Connections that end per second.
    pub rate: f64,
}

/// The stand-in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SorryServer {
    /// Where.
    pub address: SocketAddr,
    /// Does it get the traffic now?
    pub serving: bool,
    /// Its traffic.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// One real server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RealServer {
    /// Where.
    pub address: SocketAddr,
    /// `up`, `down`, `unknown`, `assumed up` (a reload needed it before its first outcome) or `drained`.
    pub state: String,
    /// Since its health changed, or since it is known.
    pub for_seconds: f64,
    /// Why it stands where it does.
    pub reason: String,
    /// What it gets now.
    pub weight: u32,
    /// What the configuration says.
    pub configured_weight: u32,
    /// What an operator says in its place.
    pub operator_weight: Option<u32>,
    /// What its checks make of the configured weight.
    #[serde(default)]
    pub advised_weight: Option<u32>,
    /// An operator has drained it.
    pub drained: bool,
    /// The most connections; 0: no limit.
    pub max_connections: u32,
    /// What the overload protection knows of it; null while that is off.
    #[serde(default)]
    pub overload: Option<Learned>,
    /// Its traffic.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Its checks.
    pub checks: Vec<Check>,
}

/// What went through a destination.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Open or on their way.
    pub active: u64,
    /// In total.
    pub connections: u64,
    /// Attempts that failed.
    pub connect_failures: u64,
    /// From clients.
    pub bytes_in: u64,
    /// To clients.
    pub bytes_out: u64,
}

/// One check of one real server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// Passes in a row while down, failures in a row while up.
    pub count: u32,
    /// How many change the state.
    pub needed: u32,
    /// The last few, equal ones in a row as one, the newest first; empty before the first.
    pub outcomes: Vec<Outcome>,
}

/// One outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// `passed`, `refused`, …
    pub kind: String,
    /// More, for people.
    pub detail: String,
    /// How often in a row.
    pub times: u32,
    /// How long the last of them took.
    pub latency_ms: f64,
    /// How long ago the last of them ended.
    pub age_seconds: f64,
}

/// One virtual router.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VirtualRouter {
    /// Its name.
    pub name: String,
    /// Where it runs.
    pub interface: String,
    /// VRID.
    pub router_id: u8,
    /// Of the protocol: 2 or 3.
    pub version: u8,
    /// Which it moves with, if any.
    pub group: Option<String>,
    /// In its adverts.
    pub addresses: Vec<IpAddr>,
    /// `initialize`, `backup`, `active` or `resigning`.
    pub state: String,
    /// Since it changed.
    pub for_seconds: f64,
    /// What keeps it from taking part; null when nothing does.
    pub obstacle: Option<String>,
    /// The priority now.
    pub priority: u8,
    /// What the configuration says.
    pub configured_priority: u8,
    /// What makes the difference.
    pub tracks: Vec<Track>,
    /// Of its own adverts.
    pub advert_interval_ms: f64,
    /// Until time alone moves it next: its next advert while Active, its taking over while Backup.
    pub next_step_ms: Option<f64>,
    /// The other director that was heard last.
    pub heard: Option<Heard>,
    /// An operator has had it hand over: it leaves the addresses to the other director while that lives.
    pub yields: bool,
    /// Not configured any more: gone once it has let go.
    pub leaving: bool,
    /// Adverts sent.
    pub sent: u64,
    /// Adverts of others heard.
    pub received: u64,
    /// Of these, with other addresses than its own: the directors are configured differently.
    pub other_addresses: u64,
    /// Changes of state.
    pub transitions: u64,
    /// Packets that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// The last of them.
    pub last_refused: Option<RefusedPacket>,
}

/// Something that a virtual router tracks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// What.
    pub name: String,
    /// `unknown`, `up`, `down`, or a number.
    pub state: String,
    /// What the priority gets for each; null: it is a fault.
    pub weight: Option<i16>,
    /// What the priority gets now.
    pub adds: i64,
}

/// Another director's advert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// From whom.
    pub source: IpAddr,
    /// Its priority; 0: it resigned.
    pub priority: u8,
    /// Between its adverts.
    pub advert_interval_ms: f64,
    /// When.
    pub age_seconds: f64,
}

/// A packet that was not taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusedPacket {
    /// From whom.
    pub source: IpAddr,
    /// Why.
    pub reason: String,
    /// When.
    pub age_seconds: f64,
}

/// What serves the virtual routers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VrrpThread {
    /// What the kernel has granted: realtime, locked memory.
    pub scheduling: String,
    /// Adverts that were due.
    pub adverts: u64,
    /// Of these, sent more than 1 ms late.
    pub late: u64,
    /// By how much at most.
    pub latest_ms: f64,
    /// By how much at most in the last minute or two.
    pub latest_of_last_minutes_ms: f64,
    /// Events that were told to nobody because the director was busy.
    pub lost_events: u64,
}

impl Status {
    /// Adds what the dataplane has counted.
    pub(super) fn add_counters(&mut self, counters: &Counters) {
        self.director.dataplane.answering = true;
        self.director.dataplane.active = counters.limits.active;
        self.director.dataplane.connection_limit = counters.limits.connections;
        self.director.dataplane.descriptor_limit = counters.limits.descriptors;
        let services = counters.services.iter().map(|(key, counted)| (key.to_string(), *counted)).collect();
        for virtual_server in &mut self.virtual_servers {
            virtual_server.add_counters(&services, counters);
        }
    }
}

impl VirtualServer {
    fn add_counters(&mut self, services: &BTreeMap<String, ServiceCounters>, counters: &Counters) {
        for listen in &mut self.listen {
            let Some(counted) = services.get(&listen.name) else { continue };
            listen.accepted = counted.accepted;
            listen.no_destination = counted.no_destination;
            listen.over_limit = counted.over_limit;
        }
        let counted = counters.of_group(&self.name);
        let traffic = |address| counted.get(address).map(Traffic::from);
        for server in &mut self.real_servers {
            server.traffic = traffic(server.address).unwrap_or_default();
        }
        if let Some(sorry_server) = &mut self.sorry_server {
            sorry_server.traffic = traffic(sorry_server.address).unwrap_or_default();
        }
    }
}

impl From<&DestinationCounters> for Traffic {
    fn from(it: &DestinationCounters) -> Self {
        Self {
            active: it.active,
            connections: it.connections,
            connect_failures: it.connect_failures,
            bytes_in: it.bytes_in,
            bytes_out: it.bytes_out,
        }
    }
}

/// How long ago that was, in seconds.
pub(crate) fn seconds(now: Instant, since: Instant) -> f64 {
    // To the millisecond: more digits say nothing to anybody.
    (now.saturating_duration_since(since).as_secs_f64() * 1e3).round() / 1e3
}

/// In milliseconds, to the microsecond.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
