//! A destination without what has been counted.

/// One destination of a service, known by its address there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// How packets get there.
    pub forwarding: Forwarding,
    /// 0: no new connections. The kernel takes up to `i32::MAX`.
    pub weight: u32,
    /// At that many connections it gets no more; 0: no limit.
    pub upper_threshold: u32,
    /// Below that many it gets connections again; 0: three quarters of the upper threshold. Not above it.
    pub lower_threshold: u32,
}

/// How packets get to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarding {
    /// With the destination's address and port in them.
    Nat,
    /// Unchanged, to the destination's link layer address. Its port is the service's.
    Direct,
    /// Within other packets. Its port is the service's; its address may be of the other family.
    Tunnel(Tunnel),
    /// Something that can be read and cannot be asked for (`IP_VS_CONN_F_*`: local, bypass).
    Other(u32),
}

/// What packets are put into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP Encapsulation.
    Gue {
        /// The UDP port to send to; not 0.
        port: u16,
        /// Of the outer packet.
        checksum: Checksum,
    },
    /// Generic Routing Encapsulation.
    Gre {
        /// Of the outer packet; not remote.
        checksum: Checksum,
    },
    /// A kind or a combination that is not known here.
    Other {
        /// `IP_VS_CONN_F_TUNNEL_TYPE_*`.
        kind: u8,
        /// A UDP port.
        port: u16,
        /// `IP_VS_TUNNEL_ENCAP_FLAG_*`.
        flags: u16,
    },
}

/// A tunnel's checksum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Checksum {
    /// None.
    #[default]
    Off,
    /// Over the whole packet.
    On,
    /// Remote checksum offload (GUE).
    Remote,
}
