//! `IPVS_DEST_ATTR_*`.

use super::stats::StatsAttribute;
use super::value::{Nested, Port, attributes};

/// `IP_VS_CONN_F_FWD_MASK`: the part of the connection flags that says how to forward.
pub const FORWARDING_MASK: u32 = 0x07;
/// `IP_VS_CONN_F_MASQ`.
pub const FORWARDING_NAT: u32 = 0;
/// `IP_VS_CONN_F_TUNNEL`.
pub const FORWARDING_TUNNEL: u32 = 2;
/// `IP_VS_CONN_F_DROUTE`.
pub const FORWARDING_DIRECT: u32 = 3;

/// `IP_VS_CONN_F_TUNNEL_TYPE_IPIP`.
pub const TUNNEL_IPIP: u8 = 0;
/// `IP_VS_CONN_F_TUNNEL_TYPE_GUE`.
pub const TUNNEL_GUE: u8 = 1;
/// `IP_VS_CONN_F_TUNNEL_TYPE_GRE`.
pub const TUNNEL_GRE: u8 = 2;

/// `IP_VS_TUNNEL_ENCAP_FLAG_CSUM`.
pub const TUNNEL_CHECKSUM: u16 = 0x01;
/// `IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM`.
pub const TUNNEL_REMOTE_CHECKSUM: u16 = 0x02;

attributes! {
    /// What describes a destination.
    DestinationAttribute {
        /// 16 bytes for both families, IPv4 in the first four.
        Address([u8; 16]) = 1,
        /// The real server's port.
        Port(Port) = 2,
        /// `IP_VS_CONN_F_*`.
        Forwarding(u32) = 3,
        /// 0: no new connections.
        Weight(u32) = 4,
        /// At that many connections it is overloaded; 0: never.
        UpperThreshold(u32) = 5,
        /// Below that many it is no longer overloaded.
        LowerThreshold(u32) = 6,
        /// Connections that are established.
        Active(u32) = 7,
        /// Connections in any other state.
        Inactive(u32) = 8,
        /// Persistence templates.
        Persistent(u32) = 9,
        /// With some counters of 32 bits.
        Stats(Nested<StatsAttribute>) = 10,
        /// `AF_INET` or `AF_INET6`; not in old kernels, where it is the service's.
        Family(u16) = 11,
        /// With all counters of 64 bits.
        Stats64(Nested<StatsAttribute>) = 12,
        /// `IP_VS_CONN_F_TUNNEL_TYPE_*`.
        TunnelType(u8) = 13,
        /// Of GUE.
        TunnelPort(Port) = 14,
        /// `IP_VS_TUNNEL_ENCAP_FLAG_*`.
        TunnelFlags(u16) = 15,
    }
}
