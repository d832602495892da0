//! What the engine is told about the virtual servers. Already validated by whoever builds it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::ProbeId;

/// Every virtual server that the engine decides about. Names are unique; order does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The virtual servers.
    pub virtual_servers: Vec<VirtualServer>,
}

/// One virtual server. Its identity across reloads is its name; all else is an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualServer {
    /// The key.
    pub name: Arc<str>,
    /// Least total weight of healthy servers (Q).
    pub quorum: u32,
    /// Half the width of the band in which the quorum does not change (H): gained at W ≥ Q + H, lost at
    /// W < Q − H or W = 0.
    pub hysteresis: u32,
    /// Where traffic goes while the quorum is lost.
    pub sorry_server: Option<SocketAddr>,
    /// How long the weight ramps after a recovery; zero for none.
    pub slow_start: Duration,
    /// The overload protection.
    pub overload: Mode,
    /// Whether a client may be given any server that has room; false where each client has its own.
    pub any_server: bool,
    /// The checks, all of which a real server must pass. Empty: its servers are always healthy.
    pub checks: Vec<Check>,
    /// The pool. Addresses are unique within it.
    pub real_servers: Vec<RealServer>,
}

/// What the overload protection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Decides, and what it decides is desired.
    #[default]
    Protect,
    /// Decides and shows it; desired is what would be without it.
    Observe,
    /// Nothing.
    Off,
}

/// How the outcomes of one check become a verdict. Its identity across reloads is `key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The key within the virtual server: the check's name or its type and ordinal.
    pub key: Arc<str>,
    /// Passes in a row that raise a server that was down; at least 1.
    pub rise: u32,
    /// Failures in a row that take down a server that was up; at least 1.
    pub fall: u32,
    /// What a server counts as before the first outcome.
    pub initially: Initially,
    /// Once up, the check's failures no longer remove the server; one that is initially up never does.
    pub only_admission: bool,
}

/// What a real server counts as before anything is known about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Initially {
    /// Gets no traffic until a check has passed.
    #[default]
    Down,
    /// Gets traffic until a check has failed `fall` times.
    Up,
}

/// One member of the pool. Its identity across reloads is its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealServer {
    /// The key within the virtual server.
    pub address: SocketAddr,
    /// The configured weight; 0 keeps the server in the pool without new connections.
    pub weight: u32,
    /// The most connections, whatever is learned; 0: no bound.
    pub max_connections: u32,
    /// The probe behind each of the virtual server's checks, in their order and of the same number.
    pub probes: Box<[ProbeId]>,
}

impl RealServer {
    /// The configured cap.
    pub(crate) fn most(&self) -> Option<u32> {
        (self.max_connections > 0).then_some(self.max_connections)
    }
}
