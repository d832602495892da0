//! `IPVS_STATS_ATTR_*`: the same numbers for both forms of statistics, which differ in the counters' width.

use super::value::{Counter, attributes};

attributes! {
    /// What has been counted for a service or a destination, and how fast it grows.
    StatsAttribute {
        /// Connections scheduled.
        Connections(Counter) = 1,
        /// From clients.
        PacketsIn(Counter) = 2,
        /// To clients.
        PacketsOut(Counter) = 3,
        /// From clients.
        BytesIn(Counter) = 4,
        /// To clients.
        BytesOut(Counter) = 5,
        /// Connections a second.
        ConnectionRate(Counter) = 6,
        /// A second, from clients.
        PacketRateIn(Counter) = 7,
        /// A second, to clients.
        PacketRateOut(Counter) = 8,
        /// A second, from clients.
        ByteRateIn(Counter) = 9,
        /// A second, to clients.
        ByteRateOut(Counter) = 10,
    }
}
