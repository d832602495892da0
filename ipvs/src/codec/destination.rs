//! Destinations.

use std::net::SocketAddr;

use netlink_packet_core::DecodeError;

use super::address::{decode_address, decode_family, encode_address, encode_family, required};
use super::stats::decode_stats;
use crate::table::{Checksum, Destination, DestinationEntry, Family, Forwarding, Tunnel};
use crate::wire::{
    DestinationAttribute as A, FORWARDING_DIRECT, FORWARDING_MASK, FORWARDING_NAT, FORWARDING_TUNNEL, Port,
    TUNNEL_CHECKSUM, TUNNEL_GRE, TUNNEL_GUE, TUNNEL_IPIP, TUNNEL_REMOTE_CHECKSUM,
};

/// What tells one destination of a service from another.
pub fn destination_key(address: &SocketAddr) -> Vec<A> {
    vec![
        A::Family(encode_family(Family::of(address))),
        A::Address(encode_address(address.ip())),
        A::Port(Port(address.port())),
    ]
}

/// A whole destination.
pub fn encode_destination(address: &SocketAddr, destination: &Destination) -> Vec<A> {
    let (forwarding, (kind, port, flags)) = encode_forwarding(destination.forwarding);
    let mut attributes = destination_key(address);
    attributes.extend([
        A::Forwarding(forwarding),
        A::Weight(destination.weight),
        A::TunnelType(kind),
        A::TunnelPort(Port(port)),
        A::TunnelFlags(flags),
        A::UpperThreshold(destination.upper_threshold),
        A::LowerThreshold(destination.lower_threshold),
    ]);
    attributes
}

/// A destination as the kernel tells of it; `family` is its service's.
pub fn decode_destination(
    family: Family,
    attributes: Vec<A>,
) -> Result<(SocketAddr, DestinationEntry), DecodeError> {
    let (mut family, mut address, mut port) = (family, None, None);
    let (mut forwarding, mut weight, mut upper_threshold, mut lower_threshold) = (None, None, 0, 0);
    let (mut kind, mut tunnel_port, mut flags) = (TUNNEL_IPIP, 0, 0);
    let (mut active, mut inactive, mut persistent) = (0, 0, 0);
    let (mut narrow, mut wide) = (None, None);
    for attribute in attributes {
        match attribute {
            A::Address(value) => address = Some(value),
            A::Port(value) => port = Some(value.0),
            A::Forwarding(value) => forwarding = Some(value),
            A::Weight(value) => weight = Some(value),
            A::UpperThreshold(value) => upper_threshold = value,
            A::LowerThreshold(value) => lower_threshold = value,
            A::Active(value) => active = value,
            A::Inactive(value) => inactive = value,
            A::Persistent(value) => persistent = value,
            A::Stats(value) => narrow = Some(value),
            A::Family(value) => family = decode_family(value)?,
            A::Stats64(value) => wide = Some(value),
            A::TunnelType(value) => kind = value,
            A::TunnelPort(value) => tunnel_port = value.0,
            A::TunnelFlags(value) => flags = value,
            A::Other(_) => {}
        }
    }
    let address = decode_address(family, required(address, "address")?);
    let destination = Destination {
        forwarding: decode_forwarding(required(forwarding, "forwarding")?, (kind, tunnel_port, flags)),
        weight: required(weight, "weight")?,
        upper_threshold,
        lower_threshold,
    };
    let stats = decode_stats(wide, narrow);
    let entry = DestinationEntry { destination, active, inactive, persistent, stats };
    Ok((SocketAddr::new(address, required(port, "port")?), entry))
}

/// A tunnel's kind, port and flags.
type TunnelFields = (u8, u16, u16);

fn encode_forwarding(forwarding: Forwarding) -> (u32, TunnelFields) {
    const NO_TUNNEL: TunnelFields = (TUNNEL_IPIP, 0, 0);
    match forwarding {
        Forwarding::Nat => (FORWARDING_NAT, NO_TUNNEL),
        Forwarding::Direct => (FORWARDING_DIRECT, NO_TUNNEL),
        Forwarding::Tunnel(tunnel) => (FORWARDING_TUNNEL, encode_tunnel(tunnel)),
        Forwarding::Other(method) => (method, NO_TUNNEL),
    }
}

fn decode_forwarding(flags: u32, tunnel: TunnelFields) -> Forwarding {
    match flags & FORWARDING_MASK {
        FORWARDING_NAT => Forwarding::Nat,
        FORWARDING_DIRECT => Forwarding::Direct,
        FORWARDING_TUNNEL => Forwarding::Tunnel(decode_tunnel(tunnel)),
        other => Forwarding::Other(other),
    }
}

fn encode_tunnel(tunnel: Tunnel) -> TunnelFields {
    match tunnel {
        Tunnel::Ipip => (TUNNEL_IPIP, 0, 0),
        Tunnel::Gue { port, checksum } => (TUNNEL_GUE, port, encode_checksum(checksum)),
        Tunnel::Gre { checksum } => (TUNNEL_GRE, 0, encode_checksum(checksum)),
        Tunnel::Other { kind, port, flags } => (kind, port, flags),
    }
}

fn decode_tunnel((kind, port, flags): TunnelFields) -> Tunnel {
    match (kind, port, decode_checksum(flags)) {
        (TUNNEL_IPIP, 0, Some(Checksum::Off)) => Tunnel::Ipip,
        (TUNNEL_GUE, port, Some(checksum)) => Tunnel::Gue { port, checksum },
        (TUNNEL_GRE, 0, Some(checksum)) => Tunnel::Gre { checksum },
        _ => Tunnel::Other { kind, port, flags },
    }
}

fn encode_checksum(checksum: Checksum) -> u16 {
    match checksum {
        Checksum::Off => 0,
        Checksum::On => TUNNEL_CHECKSUM,
        Checksum::Remote => TUNNEL_REMOTE_CHECKSUM,
    }
}

fn decode_checksum(flags: u16) -> Option<Checksum> {
    match flags {
        0 => Some(Checksum::Off),
        TUNNEL_CHECKSUM => Some(Checksum::On),
        TUNNEL_REMOTE_CHECKSUM => Some(Checksum::Remote),
        _ => None,
    }
}
