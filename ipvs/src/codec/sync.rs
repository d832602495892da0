//! Timeouts, synchronisation daemons, and what IPVS says of itself.

use std::net::IpAddr;

use netlink_packet_core::DecodeError;

use super::address::required;
use crate::table::{Info, Name, SyncDaemon, SyncRole, Timeouts};
use crate::wire::{Attribute, DaemonAttribute as A, InfoAttribute, STATE_ACTIVE, STATE_BACKUP};

/// What sets the timeouts.
pub fn encode_timeouts(timeouts: &Timeouts) -> Vec<Attribute> {
    vec![
        Attribute::TimeoutTcp(timeouts.tcp),
        Attribute::TimeoutTcpFin(timeouts.tcp_fin),
        Attribute::TimeoutUdp(timeouts.udp),
    ]
}

/// The timeouts; what is not said is 0.
pub fn decode_timeouts(attributes: Vec<Attribute>) -> Timeouts {
    let mut timeouts = Timeouts { tcp: 0, tcp_fin: 0, udp: 0 };
    for attribute in attributes {
        match attribute {
            Attribute::TimeoutTcp(value) => timeouts.tcp = value,
            Attribute::TimeoutTcpFin(value) => timeouts.tcp_fin = value,
            Attribute::TimeoutUdp(value) => timeouts.udp = value,
            _ => {}
        }
    }
    timeouts
}

/// A whole daemon, as for starting it. To stop it the same is as good.
pub fn encode_daemon(daemon: &SyncDaemon) -> Vec<A> {
    let mut attributes = vec![
        A::State(encode_role(daemon.role)),
        A::Interface(daemon.interface.to_wire()),
        A::SyncId(daemon.sync_id.into()),
    ];
    attributes.extend(daemon.max_length.map(A::MaxLength));
    attributes.extend(daemon.group.map(|group| match group {
        IpAddr::V4(group) => A::Group4(group.octets()),
        IpAddr::V6(group) => A::Group6(group.octets()),
    }));
    attributes.extend(daemon.port.map(A::Port));
    attributes.extend(daemon.ttl.map(A::Ttl));
    attributes
}

/// A daemon that runs.
pub fn decode_daemon(attributes: Vec<A>) -> Result<SyncDaemon, DecodeError> {
    let (mut role, mut interface, mut sync_id) = (None, None, None);
    let (mut max_length, mut group, mut port, mut ttl) = (None, None, None, None);
    for attribute in attributes {
        match attribute {
            A::State(value) => role = Some(decode_role(value)?),
            A::Interface(value) => interface = Some(value),
            A::SyncId(value) => sync_id = u8::try_from(value).ok(),
            A::MaxLength(value) => max_length = Some(value),
            A::Group4(value) => group = Some(IpAddr::from(value)),
            A::Group6(value) => group = Some(IpAddr::from(value)),
            A::Port(value) => port = Some(value),
            A::Ttl(value) => ttl = Some(value),
            A::Other(_) => {}
        }
    }
    let interface = Name::from_wire(&required(interface, "interface")?)
        .map_err(|error| DecodeError::from(error.to_string()))?;
    Ok(SyncDaemon {
        role: required(role, "role")?,
        interface,
        sync_id: required(sync_id, "sync id")?,
        max_length,
        group,
        port,
        ttl,
    })
}

fn encode_role(role: SyncRole) -> u32 {
    match role {
        SyncRole::Active => STATE_ACTIVE,
        SyncRole::Backup => STATE_BACKUP,
    }
}

fn decode_role(state: u32) -> Result<SyncRole, DecodeError> {
    match state {
        STATE_ACTIVE => Ok(SyncRole::Active),
        STATE_BACKUP => Ok(SyncRole::Backup),
        other => Err(format!("{other} is not the state of a daemon").into()),
    }
}

/// What IPVS says of itself.
pub fn decode_info(attributes: Vec<InfoAttribute>) -> Result<Info, DecodeError> {
    let (mut version, mut connection_table_size) = (None, 0);
    for attribute in attributes {
        match attribute {
            InfoAttribute::Version(value) => version = Some(value),
            InfoAttribute::ConnectionTableSize(value) => connection_table_size = value,
            InfoAttribute::Other(_) => {}
        }
    }
    let [_, major, minor, patch] = required(version, "version")?.to_be_bytes();
    Ok(Info { version: (major, minor, patch), connection_table_size })
}
