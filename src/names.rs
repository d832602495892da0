//! The configuration's words for its values, wherever they are shown.

use std::fmt::{Display, Formatter, Result};

use crate::config::{
    Checksum, DataplaneKind, Family, Forwarding, IpvsOnDown, IpvsTimeouts, Listen, LogFormat, LogLevel,
    OnDown, OnStop, Protocol, ProxyProtocol, Scheduler, SchedulerFlags, SyncDaemon, SyncRole, Tunnel,
};

impl Display for Protocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl Display for Scheduler {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::RoundRobin => "rr",
            Self::WeightedRoundRobin => "wrr",
            Self::LeastConnection => "lc",
            Self::WeightedLeastConnection => "wlc",
            Self::SourceHash => "sh",
            Self::Maglev => "mh",
            Self::DestinationHash => "dh",
            Self::LocalityLeastConnection => "lblc",
            Self::LocalityLeastConnectionReplicated => "lblcr",
            Self::ShortestExpectedDelay => "sed",
            Self::NeverQueue => "nq",
            Self::WeightedFailover => "fo",
            Self::WeightedOverflow => "ovf",
            Self::PowerOfTwo => "twos",
        })
    }
}

impl Display for DataplaneKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Proxy => "proxy",
            Self::Ipvs => "ipvs",
        })
    }
}

impl Display for OnDown {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Reset => "reset",
        })
    }
}

impl Display for ProxyProtocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

impl Display for SchedulerFlags {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let names = [(self.fallback, "fallback"), (self.port, "port")];
        let names: Vec<_> = names.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
        f.write_str(if names.is_empty() { "none" } else { "" })?;
        f.write_str(&names.join(","))
    }
}

impl Display for LogFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl Display for LogLevel {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

impl Display for Listen {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Address { protocol, address } => write!(f, "{protocol} {address}"),
            Self::Fwmark { mark, family } => write!(f, "fwmark {mark} {family}"),
        }
    }
}

impl Display for Family {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}

impl Display for Forwarding {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Nat => f.write_str("nat"),
            Self::Direct => f.write_str("direct"),
            Self::Tunnel(Tunnel::Ipip) => f.write_str("tunnel ipip"),
            Self::Tunnel(Tunnel::Gue { port, checksum }) => {
                write!(f, "tunnel gue port {port} checksum {checksum}")
            }
            Self::Tunnel(Tunnel::Gre { checksum }) => write!(f, "tunnel gre checksum {checksum}"),
        }
    }
}

impl Display for Checksum {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Sum => "sum",
            Self::Remote => "remote",
        })
    }
}

impl Display for IpvsOnDown {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Quiesce => "quiesce",
            Self::Remove => "remove",
        })
    }
}

impl Display for OnStop {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Clear => "clear",
        })
    }
}

impl Display for IpvsTimeouts {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let written = [("tcp", self.tcp), ("tcp_fin", self.tcp_fin), ("udp", self.udp)];
        let written = written.into_iter().filter_map(|(key, seconds)| Some(format!("{key} {}s", seconds?)));
        let written: Vec<_> = written.collect();
        f.write_str(if written.is_empty() { "none" } else { "" })?;
        f.write_str(&written.join(", "))
    }
}

impl Display for SyncRole {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Backup => "backup",
            Self::Follows(router) => return write!(f, "as {router}"),
        })
    }
}

impl Display for SyncDaemon {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} on {} id {}", self.role, self.interface, self.sync_id)?;
        for (key, value) in [
            ("max_length", self.max_length.map(|it| it.to_string())),
            ("group", self.group.map(|it| it.to_string())),
            ("port", self.port.map(|it| it.to_string())),
            ("ttl", self.ttl.map(|it| it.to_string())),
        ] {
            if let Some(value) = value {
                write!(f, " {key} {value}")?;
            }
        }
        Ok(())
    }
}
