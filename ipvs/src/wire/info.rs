//! `IPVS_INFO_ATTR_*`.

use super::value::attributes;

attributes! {
    /// What describes the kernel's IPVS. Their numbers are also those of other attributes: what they mean
    /// depends on the command.
    InfoAttribute {
        /// `major << 16 | minor << 8 | patch`.
        Version(u32) = 1,
        /// Buckets of the connection table.
        ConnectionTableSize(u32) = 2,
    }
}
