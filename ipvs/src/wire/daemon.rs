//! `IPVS_DAEMON_ATTR_*`: the connection synchronisation daemon.

use std::ffi::CString;

use super::value::attributes;

/// `IP_VS_STATE_MASTER`: sends.
pub const STATE_ACTIVE: u32 = 1;
/// `IP_VS_STATE_BACKUP`: receives.
pub const STATE_BACKUP: u32 = 2;

attributes! {
    /// What describes a daemon.
    DaemonAttribute {
        /// `IP_VS_STATE_*`.
        State(u32) = 1,
        /// The interface's name.
        Interface(CString) = 2,
        /// Messages with another one are not for us.
        SyncId(u32) = 3,
        /// The longest UDP payload.
        MaxLength(u16) = 4,
        /// An IPv4 multicast group.
        Group4([u8; 4]) = 5,
        /// An IPv6 multicast group.
        Group6([u8; 16]) = 6,
        /// The first UDP port, in native byte order.
        Port(u16) = 7,
        /// TTL or hop limit.
        Ttl(u8) = 8,
    }
}
