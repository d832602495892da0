//! From the terms of every dataplane to those of IPVS; none for what IPVS has no terms for, which the configuration
//! refuses. Pure.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use tidegate_ipvs::table as ipvs;

use crate::config::{self, Checksum, Family, Forwarding, Listen, Protocol, Tunnel};
use crate::dataplane::table::{Attributes, Destination};

pub(super) fn key(key: &Listen) -> Option<ipvs::Key> {
    Some(match *key {
        Listen::Address { protocol, address } => ipvs::Key::Address {
            protocol: match protocol {
                Protocol::Tcp => ipvs::Protocol::Tcp,
                Protocol::Udp => ipvs::Protocol::Udp,
                Protocol::Sctp => ipvs::Protocol::Sctp,
            },
            address,
        },
        Listen::Fwmark { mark, family } => ipvs::Key::Fwmark {
            mark: NonZeroU32::new(mark)?,
            family: match family {
                Family::Ipv4 => ipvs::Family::V4,
                Family::Ipv6 => ipvs::Family::V6,
            },
        },
    })
}

pub(super) fn service(key: &ipvs::Key, attributes: &Attributes) -> Option<ipvs::Service> {
    let config::Dataplane::Ipvs(options) = &attributes.dataplane else { return None };
    let engine = options.persistence_engine.as_ref().map(|name| name.parse()).transpose().ok()?;
    Some(ipvs::Service {
        scheduler: attributes.scheduler.to_string().parse().ok()?,
        scheduler_flags: ipvs::SchedulerFlags {
            fallback: attributes.scheduler_flags.fallback,
            port: attributes.scheduler_flags.port,
            third: false,
        },
        one_packet: options.one_packet,
        persistence: match &attributes.persistence {
            None => None,
            Some(it) => Some(ipvs::Persistence {
                timeout: u32::try_from(it.timeout.as_secs()).ok()?,
                mask: match key.family() {
                    ipvs::Family::V4 => ipvs::Mask::V4(netmask(it.prefix_v4)),
                    ipvs::Family::V6 => ipvs::Mask::V6(it.prefix_v6),
                },
                engine,
            }),
        },
    })
}

pub(super) fn destination(it: &Destination) -> Option<ipvs::Destination> {
    Some(ipvs::Destination {
        forwarding: match it.forwarding {
            Forwarding::Nat => ipvs::Forwarding::Nat,
            Forwarding::Direct => ipvs::Forwarding::Direct,
            Forwarding::Tunnel(tunnel) => ipvs::Forwarding::Tunnel(match tunnel {
                Tunnel::Ipip => ipvs::Tunnel::Ipip,
                Tunnel::Gue { port, checksum } => {
                    ipvs::Tunnel::Gue { port, checksum: self::checksum(checksum) }
                }
                Tunnel::Gre { checksum } => ipvs::Tunnel::Gre { checksum: self::checksum(checksum) },
            }),
        },
        weight: it.weight,
        upper_threshold: it.max_connections,
        lower_threshold: it.resume_below,
    })
}

fn checksum(checksum: Checksum) -> ipvs::Checksum {
    match checksum {
        Checksum::None => ipvs::Checksum::Off,
        Checksum::Sum => ipvs::Checksum::On,
        Checksum::Remote => ipvs::Checksum::Remote,
    }
}

fn netmask(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0))
}
