//! The configuration's words for its values, wherever they are shown.

use std::fmt::{Display, Formatter, Result};

use crate::config::{
    DataplaneKind, LogFormat, LogLevel, OnDown, Protocol, ProxyProtocol, Scheduler, SchedulerFlags,
};

impl Display for Protocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
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
        })
    }
}

impl Display for DataplaneKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Proxy => "proxy",
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
