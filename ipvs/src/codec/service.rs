//! Services.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use netlink_packet_core::DecodeError;

use super::address::{decode_address, decode_family, encode_address, encode_family, required};
use super::stats::decode_stats;
use crate::table::{Family, Key, Mask, Name, Persistence, Protocol, SchedulerFlags, Service, ServiceEntry};
use crate::wire::{
    FLAG_ONE_PACKET, FLAG_PERSISTENT, FLAG_SCHEDULER_1, FLAG_SCHEDULER_2, FLAG_SCHEDULER_3, Flags, Nested,
    Port, ServiceAttribute as A, StatsAttribute,
};

/// What tells one service from another.
pub fn service_key(key: &Key) -> Vec<A> {
    let family = A::Family(encode_family(key.family()));
    match key {
        Key::Address { protocol, address } => vec![
            family,
            A::Protocol(encode_protocol(*protocol)),
            A::Address(encode_address(address.ip())),
            A::Port(Port(address.port())),
        ],
        Key::Fwmark { mark, .. } => vec![family, A::Fwmark(mark.get())],
    }
}

/// A whole service.
pub fn encode_service(key: &Key, service: &Service) -> Vec<A> {
    let persistence = service.persistence.as_ref();
    let mask = persistence.map_or_else(|| Mask::host(key.family()), |persistence| persistence.mask);
    let mut attributes = service_key(key);
    attributes.push(A::Scheduler(service.scheduler.to_wire()));
    if let Some(engine) = persistence.and_then(|persistence| persistence.engine.as_ref()) {
        attributes.push(A::Engine(engine.to_wire()));
    }
    attributes.extend([
        A::Flags(Flags { flags: encode_flags(service), mask: u32::MAX }),
        A::Timeout(persistence.map_or(0, |persistence| persistence.timeout)),
        A::Netmask(encode_mask(mask)),
    ]);
    attributes
}

/// A service as the kernel tells of it. Its destinations come separately.
pub fn decode_service(attributes: Vec<A>) -> Result<(Key, ServiceEntry), DecodeError> {
    let mut it = Raw::default();
    for attribute in attributes {
        match attribute {
            A::Family(value) => it.family = Some(value),
            A::Protocol(value) => it.protocol = Some(value),
            A::Address(value) => it.address = Some(value),
            A::Port(value) => it.port = Some(value.0),
            A::Fwmark(value) => it.mark = NonZeroU32::new(value),
            A::Scheduler(value) => it.scheduler = Some(value),
            A::Flags(value) => it.flags = value.flags,
            A::Timeout(value) => it.timeout = value,
            A::Netmask(value) => it.netmask = Some(value),
            A::Engine(value) => it.engine = Some(value),
            A::Stats(value) => it.stats = Some(value),
            A::Stats64(value) => it.stats64 = Some(value),
            A::Other(_) => {}
        }
    }
    let key = it.key()?;
    let service = it.service(key.family())?;
    let stats = decode_stats(it.stats64, it.stats);
    Ok((key, ServiceEntry { service, stats, destinations: BTreeMap::new() }))
}

/// The attributes of a service, as far as they are there.
#[derive(Default)]
struct Raw {
    family: Option<u16>,
    protocol: Option<u16>,
    address: Option<[u8; 16]>,
    port: Option<u16>,
    mark: Option<NonZeroU32>,
    scheduler: Option<CString>,
    flags: u32,
    timeout: u32,
    netmask: Option<[u8; 4]>,
    engine: Option<CString>,
    stats: Option<Nested<StatsAttribute>>,
    stats64: Option<Nested<StatsAttribute>>,
}

impl Raw {
    fn key(&self) -> Result<Key, DecodeError> {
        let family = decode_family(required(self.family, "address family")?)?;
        if let Some(mark) = self.mark {
            return Ok(Key::Fwmark { mark, family });
        }
        let protocol = decode_protocol(required(self.protocol, "protocol")?)?;
        let address = decode_address(family, required(self.address, "address")?);
        let port = required(self.port, "port")?;
        Ok(Key::Address { protocol, address: SocketAddr::new(address, port) })
    }

    fn service(&self, family: Family) -> Result<Service, DecodeError> {
        let has = |flag| self.flags & flag != 0;
        Ok(Service {
            scheduler: decode_name(required(self.scheduler.as_ref(), "scheduler")?)?,
            scheduler_flags: SchedulerFlags {
                fallback: has(FLAG_SCHEDULER_1),
                port: has(FLAG_SCHEDULER_2),
                third: has(FLAG_SCHEDULER_3),
            },
            one_packet: has(FLAG_ONE_PACKET),
            persistence: if has(FLAG_PERSISTENT) { Some(self.persistence(family)?) } else { None },
        })
    }

    fn persistence(&self, family: Family) -> Result<Persistence, DecodeError> {
        Ok(Persistence {
            timeout: self.timeout,
            mask: decode_mask(family, required(self.netmask, "netmask")?)?,
            engine: self.engine.as_ref().map(decode_name).transpose()?,
        })
    }
}

fn decode_name(name: &CString) -> Result<Name, DecodeError> {
    Name::from_wire(name).map_err(|error| error.to_string().into())
}

const IPPROTO_TCP: u16 = 6;
const IPPROTO_UDP: u16 = 17;
const IPPROTO_SCTP: u16 = 132;

fn encode_protocol(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => IPPROTO_TCP,
        Protocol::Udp => IPPROTO_UDP,
        Protocol::Sctp => IPPROTO_SCTP,
    }
}

fn decode_protocol(protocol: u16) -> Result<Protocol, DecodeError> {
    match protocol {
        IPPROTO_TCP => Ok(Protocol::Tcp),
        IPPROTO_UDP => Ok(Protocol::Udp),
        IPPROTO_SCTP => Ok(Protocol::Sctp),
        other => Err(format!("{other} is not a protocol of IPVS").into()),
    }
}

fn encode_flags(service: &Service) -> u32 {
    [
        (service.persistence.is_some(), FLAG_PERSISTENT),
        (service.one_packet, FLAG_ONE_PACKET),
        (service.scheduler_flags.fallback, FLAG_SCHEDULER_1),
        (service.scheduler_flags.port, FLAG_SCHEDULER_2),
        (service.scheduler_flags.third, FLAG_SCHEDULER_3),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |flags, (_, flag)| flags | flag)
}

fn encode_mask(mask: Mask) -> [u8; 4] {
    match mask {
        Mask::V4(mask) => mask.octets(),
        Mask::V6(prefix) => u32::from(prefix).to_ne_bytes(),
    }
}

fn decode_mask(family: Family, bytes: [u8; 4]) -> Result<Mask, DecodeError> {
    match family {
        Family::V4 => Ok(Mask::V4(Ipv4Addr::from(bytes))),
        Family::V6 => match u8::try_from(u32::from_ne_bytes(bytes)) {
            Ok(prefix @ 1..=128) => Ok(Mask::V6(prefix)),
            _ => Err("a prefix length that no IPv6 address has".into()),
        },
    }
}
