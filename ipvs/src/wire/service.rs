//! `IPVS_SVC_ATTR_*`.

use std::ffi::CString;

use super::stats::StatsAttribute;
use super::value::{Flags, Nested, Port, attributes};

/// `IP_VS_SVC_F_PERSISTENT`: clients stay with their destination.
pub const FLAG_PERSISTENT: u32 = 0x01;
/// `IP_VS_SVC_F_HASHED`: the kernel's own, always set in its answers.
pub const FLAG_HASHED: u32 = 0x02;
/// `IP_VS_SVC_F_ONEPACKET`: every UDP datagram is scheduled for itself.
pub const FLAG_ONE_PACKET: u32 = 0x04;
/// `IP_VS_SVC_F_SCHED1`: for sh and mh, fallback.
pub const FLAG_SCHEDULER_1: u32 = 0x08;
/// `IP_VS_SVC_F_SCHED2`: for sh and mh, port.
pub const FLAG_SCHEDULER_2: u32 = 0x10;
/// `IP_VS_SVC_F_SCHED3`.
pub const FLAG_SCHEDULER_3: u32 = 0x20;

attributes! {
    /// What describes a service.
    ServiceAttribute {
        /// `AF_INET` or `AF_INET6`.
        Family(u16) = 1,
        /// `IPPROTO_*`.
        Protocol(u16) = 2,
        /// 16 bytes for both families, IPv4 in the first four.
        Address([u8; 16]) = 3,
        /// The virtual port.
        Port(Port) = 4,
        /// Instead of protocol, address and port.
        Fwmark(u32) = 5,
        /// The scheduler's name.
        Scheduler(CString) = 6,
        /// `IP_VS_SVC_F_*`.
        Flags(Flags) = 7,
        /// Of persistence, in seconds.
        Timeout(u32) = 8,
        /// Of persistence: an IPv4 mask in network byte order, or an IPv6 prefix length as a native number.
        Netmask([u8; 4]) = 9,
        /// With some counters of 32 bits.
        Stats(Nested<StatsAttribute>) = 10,
        /// The persistence engine's name.
        Engine(CString) = 11,
        /// With all counters of 64 bits.
        Stats64(Nested<StatsAttribute>) = 12,
    }
}
