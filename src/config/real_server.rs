//! `[[virtual_server.real_server]]`

use super::model::{DataplaneKind, Forwarding, RealServer};
use super::place::At;
use super::reader::Table;
use super::values::{Port, integer, peer};
use super::{dataplane, forwarding};

/// Those that have an address, with the place of the address.
pub(super) fn read(
    tables: Vec<Table<'_>>,
    dataplane: DataplaneKind,
    forwarding: Forwarding,
    port: Port,
) -> Vec<At<RealServer>> {
    tables.into_iter().filter_map(|table| one(table, dataplane, forwarding, port)).collect()
}

fn one(
    mut table: Table<'_>,
    dataplane: DataplaneKind,
    forwarding: Forwarding,
    port: Port,
) -> Option<At<RealServer>> {
    let address = table.require("address", peer(port));
    let weight = table.take("weight", integer(0..=65_535)).map_or(1, |it| it.value);
    let max_connections =
        table.take("max_connections", integer(0..=u64::from(u32::MAX))).map_or(0, |it| it.value);
    let resume_below = resume_below(&mut table, dataplane, max_connections);
    let forwarding = forwarding::read(&mut table, dataplane, forwarding);
    table.finish();
    address.map(|At { value: address, place }| At {
        value: RealServer { address, weight, max_connections, resume_below, forwarding },
        place,
    })
}

/// Less than `max_connections`; 0 when it is not written.
fn resume_below(table: &mut Table<'_>, dataplane: DataplaneKind, max_connections: u32) -> u32 {
    if dataplane == DataplaneKind::Proxy {
        dataplane::refuse(table, dataplane, &["resume_below"]);
        return 0;
    }
    let Some(At { value, place }) = table.take("resume_below", integer(1..=u64::from(u32::MAX))) else {
        return 0;
    };
    if max_connections == 0 {
        if table.whole() {
            table.note(place, "`resume_below` needs `max_connections`");
        }
    } else if value >= max_connections {
        table.note(
            place,
            format!("`resume_below` must be less than `max_connections`, which is {max_connections}"),
        );
    }
    value
}
