//! `[[virtual_server.real_server]]`

use super::model::RealServer;
use super::place::At;
use super::reader::Table;
use super::values::{integer, peer};

/// Those that have an address, with the place of the address.
pub(super) fn read(tables: Vec<Table<'_>>) -> Vec<At<RealServer>> {
    tables.into_iter().filter_map(one).collect()
}

fn one(mut table: Table<'_>) -> Option<At<RealServer>> {
    let address = table.require("address", peer);
    let weight = table.take("weight", integer(0..=65_535)).map_or(1, |it| it.value);
    let max_connections =
        table.take("max_connections", integer(0..=u64::from(u32::MAX))).map_or(0, |it| it.value);
    table.refuse(
        "forwarding",
        "`forwarding` is for dataplane \"ipvs\", which is not available in this version",
    );
    table.finish();
    address.map(|At { value: address, place }| At {
        value: RealServer { address, weight, max_connections },
        place,
    })
}
