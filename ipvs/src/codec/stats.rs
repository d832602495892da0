//! Statistics.

use crate::table::Stats;
use crate::wire::{Nested, StatsAttribute};

/// Of the wide form where the kernel has it.
pub(super) fn decode_stats(
    wide: Option<Nested<StatsAttribute>>,
    narrow: Option<Nested<StatsAttribute>>,
) -> Stats {
    use StatsAttribute as A;

    let mut stats = Stats::default();
    let Stats { total, rate } = &mut stats;
    for attribute in wide.or(narrow).into_iter().flat_map(|nested| nested.attributes) {
        match attribute {
            A::Connections(value) => total.connections = value.into(),
            A::PacketsIn(value) => total.packets_in = value.into(),
            A::PacketsOut(value) => total.packets_out = value.into(),
            A::BytesIn(value) => total.bytes_in = value.into(),
            A::BytesOut(value) => total.bytes_out = value.into(),
            A::ConnectionRate(value) => rate.connections = value.into(),
            A::PacketRateIn(value) => rate.packets_in = value.into(),
            A::PacketRateOut(value) => rate.packets_out = value.into(),
            A::ByteRateIn(value) => rate.bytes_in = value.into(),
            A::ByteRateOut(value) => rate.bytes_out = value.into(),
            A::Other(_) => {}
        }
    }
    stats
}
