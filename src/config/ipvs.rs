//! `[director.ipvs]`

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::Context;
use super::model::{Ipvs, IpvsTimeouts, SyncDaemon, SyncRole};
use super::place::At;
use super::reader::Table;
use super::values::{self, describe, duration, integer, one_of, text_that};

/// What the kernel takes (`IP_VS_MAX_TIMEOUT` is in jiffies; a month is far below it).
const MOST: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) fn read(mut table: Table<'_>, context: &mut Context) -> Ipvs {
    let timeouts = table.table("timeouts", "timeouts = { tcp = \"15m\" }").map(timeouts).unwrap_or_default();
    let (mut sync, mut roles): (Vec<SyncDaemon>, _) = (Vec::new(), BTreeSet::new());
    for daemon in table.tables("sync", "[[director.ipvs.sync]]") {
        let place = daemon.place;
        let Some(daemon) = sync_daemon(daemon, context) else { continue };
        let (active, backup) = match daemon.role {
            SyncRole::Active => (true, false),
            SyncRole::Backup => (false, true),
            SyncRole::Follows(_) => (true, true),
        };
        if (active && !roles.insert("active")) | (backup && !roles.insert("backup")) {
            table.note(place, "the kernel runs one synchronisation daemon of each role");
        }
        sync.push(daemon);
    }
    table.finish();
    Ipvs { timeouts, sync }
}

fn timeouts(mut table: Table<'_>) -> IpvsTimeouts {
    let mut take = |key| table.take(key, whole_seconds).map(|it| it.value);
    let timeouts = IpvsTimeouts { tcp: take("tcp"), tcp_fin: take("tcp_fin"), udp: take("udp") };
    table.finish();
    timeouts
}

fn sync_daemon(mut table: Table<'_>, context: &mut Context) -> Option<SyncDaemon> {
    let role = role(&mut table, context);
    let interface = table.require("interface", interface);
    let sync_id = table.take("sync_id", integer(0..=255));
    let max_length = table.take("max_length", integer(1..=65_507));
    let group = table.take("group", multicast);
    let port = table.take("port", integer(1..=65_535));
    let ttl = table.take("ttl", integer(1..=255));
    table.finish();
    Some(SyncDaemon {
        role: role?,
        interface: interface?.value,
        sync_id: sync_id.map_or(0, |it| it.value),
        max_length: max_length.map(|it| it.value),
        group: group.map(|it| it.value),
        port: port.map(|it| it.value),
        ttl: ttl.map(|it| it.value),
    })
}

/// `role`, or `follow` in its place.
fn role(table: &mut Table<'_>, context: &mut Context) -> Option<SyncRole> {
    if !table.has("follow") {
        return Some(if table.require("role", one_of(&[("active", true), ("backup", false)]))?.value {
            SyncRole::Active
        } else {
            SyncRole::Backup
        });
    }
    table.refuse("role", "`role` comes from the virtual router that `follow` names");
    let At { value, place } = table.take("follow", values::name)?;
    let name: Arc<str> = value.into();
    context.followed.push(At { value: name.clone(), place });
    Some(SyncRole::Follows(name))
}

/// The name of an interface.
pub(super) fn interface(value: &DeValue<'_>) -> Result<Arc<str>, String> {
    text_that(is_interface, "the name of an interface")(value).map(Into::into)
}

/// 1 to 15 bytes (`IFNAMSIZ`, less the NUL at the end).
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

fn multicast(value: &DeValue<'_>) -> Result<IpAddr, String> {
    let group = value.as_str().and_then(|text| text.parse().ok()).filter(IpAddr::is_multicast);
    group
        .ok_or_else(|| format!("must be a multicast address such as \"224.0.0.81\", not {}", describe(value)))
}

fn whole_seconds(value: &DeValue<'_>) -> Result<u32, String> {
    let duration = duration(Duration::from_secs(1)..=MOST)(value)?;
    let whole = u32::try_from(duration.as_secs()).ok().filter(|_| duration.subsec_nanos() == 0);
    whole.ok_or_else(|| format!("must be whole seconds, not {}", describe(value)))
}
