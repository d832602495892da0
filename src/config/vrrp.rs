//! `[[vrrp]]`

mod network;
mod notify;
mod rules;
mod track;

use std::sync::Arc;
use std::time::Duration;

use tidegate_vrrp::config::{Announce, Checksum, Family, Peers, Router, Version};
use tidegate_vrrp::holding::{HeldAddress, Holding};
use toml::de::DeValue;

use super::Context;
use super::ipvs::interface;
use super::model::VirtualRouter;
use super::place::At;
use super::reader::Table;
use super::values::{self, DAY, boolean, describe, duration, integer, ip, one_of, string};
pub(super) use rules::check;

const DEFAULT_PRIORITY: u8 = 100;
const OWNER: u8 = 255;
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// Version 3 has 12 bits of hundredths of a second (RFC 9568 §5.2.7), version 2 has 8 of seconds.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(40_950);
const LONGEST_OF_V2: Duration = Duration::from_secs(255);
/// IPv6 addresses that fit the packet of an Ethernet; adverts are not to be fragmented.
const MOST_ADDRESSES: usize = 64;

/// Where a mistake was made a default stands; such a router is never used. The place is that of its name.
pub(super) fn read(mut table: Table<'_>, context: &mut Context) -> At<VirtualRouter> {
    let name = table.require("name", values::name);
    let place = name.as_ref().map_or(table.place, |name| name.place);
    let interface: Arc<str> = table.require("interface", interface).map_or_else(|| "".into(), |it| it.value);
    let router_id = table.require("router_id", integer(1..=255)).map_or(1, |it| it.value);
    let priority = table.take("priority", integer(1..=255)).map_or(DEFAULT_PRIORITY, |it| it.value);

    let addresses = addresses(&mut table);
    let family = addresses.first().map_or(Family::Ipv4, |it| Family::of(it.value.address));
    one_family(&table, &addresses, family);
    let version = version(&mut table, family);
    let interval = interval(&mut table, version);
    let announce = announce(&mut table);
    let own = addresses.iter().map(|it| it.value.address).collect();
    let extra = table.list("extra_addresses", network::held);
    let holding = Holding {
        interface: interface.clone(),
        router_id,
        addresses: addresses.into_iter().chain(extra).map(|it| it.value).collect(),
        routes: table.tables("route", "[[vrrp.route]]").into_iter().filter_map(network::route).collect(),
        rules: table.tables("rule", "[[vrrp.rule]]").into_iter().filter_map(network::rule).collect(),
        virtual_mac: table.take("virtual_mac", boolean).is_some_and(|it| it.value),
        accept: table.take("accept", boolean).is_none_or(|it| it.value),
        owner: priority == OWNER,
        announcements: announce.count,
    };
    let (preempt, preempt_delay) = preemption(&mut table);
    let router = Router {
        name: name.map_or_else(|| "".into(), |it| it.value.into()),
        interface,
        router_id,
        version,
        family,
        priority,
        interval,
        preempt,
        preempt_delay,
        peers: peers(&mut table, family),
        source: source(&mut table, family),
        authentication: password(&mut table, version),
        checksum: checksum(&mut table, version, family),
        addresses: own,
        announce,
        group: table.take("group", values::name).map(|it| it.value.into()),
        tracks: track::read(&mut table, context),
    };
    let notify = notify::read(&mut table);
    table.finish();
    At { value: VirtualRouter { router: Arc::new(router), holding: Arc::new(holding), notify }, place }
}

fn addresses(table: &mut Table<'_>) -> Vec<At<HeldAddress>> {
    if !table.has("addresses") && table.whole() {
        table.note(table.place, "[[vrrp]] needs `addresses`");
    }
    let addresses = table.list("addresses", network::held);
    if let Some(first) = addresses.get(MOST_ADDRESSES) {
        table.note(
            first.place,
            format!("an advert has room for {MOST_ADDRESSES} addresses: put the others in `extra_addresses`"),
        );
    }
    addresses
}

fn one_family(table: &Table<'_>, addresses: &[At<HeldAddress>], family: Family) {
    if let Some(other) = addresses.iter().find(|it| Family::of(it.value.address) != family) {
        table.note(
            other.place,
            "the addresses of a virtual router are of one family: put the others in `extra_addresses`, or in a \
             [[vrrp]] of their own and both in one `group`",
        );
    }
}

fn version(table: &mut Table<'_>, family: Family) -> Version {
    let version = table.take("version", |value| match integer(2..=3)(value)? {
        2_u8 => Ok(Version::V2),
        _ => Ok(Version::V3),
    });
    match version {
        Some(At { value: Version::V2, place }) if family == Family::Ipv6 => {
            table.note(place, "version 2 knows IPv4 only");
            Version::V3
        }
        version => version.map_or(Version::default(), |it| it.value),
    }
}

fn interval(table: &mut Table<'_>, version: Version) -> Duration {
    let parse = |value: &DeValue<'_>| {
        let (range, step, whole) = match version {
            Version::V2 => (DEFAULT_INTERVAL..=LONGEST_OF_V2, DEFAULT_INTERVAL, "whole seconds in version 2"),
            Version::V3 => (SHORTEST..=LONGEST, SHORTEST, "a multiple of 10ms"),
        };
        let interval = duration(range)(value)?;
        let fits = interval.as_nanos().is_multiple_of(step.as_nanos());
        if fits { Ok(interval) } else { Err(format!("must be {whole}, not {}", describe(value))) }
    };
    table.take("advert_interval", parse).map_or(DEFAULT_INTERVAL, |it| it.value)
}

fn announce(table: &mut Table<'_>) -> Announce {
    let mut announce = Announce::default();
    let Some(mut table) = table.table("announce", "announce = { count = 5 }") else { return announce };
    if let Some(count) = table.take("count", integer(1..=100)) {
        announce.count = count.value;
    }
    if let Some(delay) = table.take("delay", duration(Duration::ZERO..=DAY)) {
        announce.delay = delay.value;
    }
    if let Some(refresh) = table.take("refresh", duration(Duration::ZERO..=DAY)) {
        if refresh.value < Duration::from_secs(1) && !refresh.value.is_zero() {
            table.note(refresh.place, "`refresh` must be at least 1s, or 0s for never");
        }
        announce.refresh = refresh.value;
    }
    table.finish();
    announce
}

fn preemption(table: &mut Table<'_>) -> (bool, Duration) {
    let preempt = table.take("preempt", boolean).is_none_or(|it| it.value);
    let delay = table.take("preempt_delay", duration(Duration::ZERO..=DAY));
    if let Some(delay) = delay.as_ref().filter(|_| !preempt) {
        table.note(delay.place, "`preempt_delay` means nothing with preempt = false");
    }
    (preempt, delay.map_or(Duration::ZERO, |it| it.value))
}

fn peers(table: &mut Table<'_>, family: Family) -> Peers {
    if !table.has("unicast_peers") {
        table.refuse("min_ttl", "`min_ttl` belongs to `unicast_peers`: multicast never passes a router");
        return Peers::Multicast;
    }
    let peers = table.list("unicast_peers", ip);
    if let Some(other) = peers.iter().find(|peer| Family::of(peer.value) != family) {
        table.note(other.place, format!("peer {} is of another family than the addresses", other.value));
    }
    Peers::Unicast {
        peers: peers.into_iter().map(|peer| peer.value).collect(),
        min_ttl: table.take("min_ttl", integer(1..=255)).map_or(255, |it| it.value),
    }
}

fn source(table: &mut Table<'_>, family: Family) -> Option<std::net::IpAddr> {
    let source = table.take("source", ip)?;
    if Family::of(source.value) != family {
        table.note(source.place, format!("source {} is of another family than the addresses", source.value));
    }
    Some(source.value)
}

fn password(table: &mut Table<'_>, version: Version) -> Option<[u8; 8]> {
    if version != Version::V2 {
        table.refuse("password", "`password` belongs to version 2: version 3 has no authentication");
        return None;
    }
    // Not quoted in the mistake.
    let parse = |value: &DeValue<'_>| {
        let bytes = string(value)?.as_bytes();
        let mut password = [0; 8];
        let place = password.get_mut(..bytes.len()).filter(|place| !place.is_empty());
        place.ok_or_else(|| format!("must have 1 to 8 bytes, not {}", bytes.len()))?.copy_from_slice(bytes);
        Ok(password)
    };
    table.take("password", parse).map(|it| it.value)
}

fn checksum(table: &mut Table<'_>, version: Version, family: Family) -> Checksum {
    if (version, family) != (Version::V3, Family::Ipv4) {
        table.refuse("checksum", "`checksum` belongs to version 3 with IPv4: elsewhere there is no choice");
        return Checksum::default();
    }
    let words = [("pseudo-header", Checksum::PseudoHeader), ("message", Checksum::Message)];
    table.take("checksum", one_of(&words)).map_or(Checksum::default(), |it| it.value)
}
