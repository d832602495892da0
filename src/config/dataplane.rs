//! `dataplane`, and the keys that only one of them has.

use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::model::{
    Dataplane, DataplaneKind, IpvsOnDown, IpvsOptions, OnDown, OnStop, Protocol, ProxyOptions, ProxyProtocol,
};
use super::reader::Table;
use super::values::{DAY, MONTH, boolean, duration, listed, one_of};

const DATAPLANES: [(&str, DataplaneKind); 2] =
    [("proxy", DataplaneKind::Proxy), ("ipvs", DataplaneKind::Ipvs)];

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_IDLE_TCP: Duration = Duration::from_secs(600);
const DEFAULT_IDLE_UDP: Duration = Duration::from_secs(30);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Keys of `[[virtual_server]]`.
const PROXY_KEYS: [&str; 3] = ["connect_timeout", "idle_timeout", "proxy_protocol"];
const IPVS_KEYS: [&str; 4] = ["fwmark", "fwmark_family", "one_packet", "on_stop"];

const ON_DOWN: [(&str, OnDown); 2] = [("keep", OnDown::Keep), ("reset", OnDown::Reset)];
const IPVS_ON_DOWN: [(&str, IpvsOnDown); 2] =
    [("quiesce", IpvsOnDown::Quiesce), ("remove", IpvsOnDown::Remove)];

/// Which dataplane it is. What only the other one has is refused here, and must not be read after this.
pub(super) fn kind(table: &mut Table<'_>) -> DataplaneKind {
    let kind = match table.take("dataplane", one_of(&DATAPLANES)) {
        Some(it) => it.value,
        // One that is misspelt is known by its keys, so that they are not called mistakes.
        None if table.has("dataplane")
            && IPVS_KEYS.iter().chain(&["forwarding"]).any(|key| table.has(key)) =>
        {
            DataplaneKind::Ipvs
        }
        None => DataplaneKind::Proxy,
    };
    match kind {
        DataplaneKind::Proxy => refuse(table, kind, &IPVS_KEYS),
        DataplaneKind::Ipvs => refuse(table, kind, &PROXY_KEYS),
    }
    kind
}

/// Keys that only the other dataplane has.
pub(super) fn refuse(table: &mut Table<'_>, own: DataplaneKind, keys: &[&'static str]) {
    for key in keys {
        let (own, other) = (name(own), name(other(own)));
        table.refuse(
            key,
            format!("`{key}` belongs to dataplane \"{other}\", and this virtual server's is \"{own}\""),
        );
    }
}

/// One of the words that this dataplane has; one that only the other has is told apart from a misspelt one.
pub(super) fn word<T: Copy, U>(
    own: DataplaneKind,
    words: &[(&'static str, T)],
    others: &[(&'static str, U)],
) -> impl Fn(&DeValue<'_>) -> Result<T, String> {
    move |value| {
        let foreign =
            |word| others.iter().any(|(it, _)| *it == word) && words.iter().all(|(it, _)| *it != word);
        match value.as_str() {
            Some(word) if foreign(word) => Err(format!(
                "\"{word}\" belongs to dataplane \"{}\"; \"{}\" has {}",
                name(other(own)),
                name(own),
                listed(words)
            )),
            _ => one_of(words)(value),
        }
    }
}

/// What only this dataplane has. `protocol` is none with an fwmark.
pub(super) fn options(
    table: &mut Table<'_>,
    kind: DataplaneKind,
    protocol: Option<Protocol>,
    persistence_engine: Option<Arc<str>>,
) -> Dataplane {
    match kind {
        DataplaneKind::Proxy => Dataplane::Proxy(proxy(table, protocol)),
        DataplaneKind::Ipvs => Dataplane::Ipvs(ipvs(table, protocol, persistence_engine)),
    }
}

fn proxy(table: &mut Table<'_>, protocol: Option<Protocol>) -> ProxyOptions {
    if protocol != Some(Protocol::Tcp) {
        table.refuse("proxy_protocol", "`proxy_protocol` needs protocol \"tcp\"");
    }
    // A client that keeps its port and asks on would otherwise keep its UDP session with a server that died.
    let (idle, on_down) = match protocol {
        Some(Protocol::Udp) => (DEFAULT_IDLE_UDP, OnDown::Reset),
        _ => (DEFAULT_IDLE_TCP, OnDown::Keep),
    };
    ProxyOptions {
        on_down: table
            .take("on_down", word(DataplaneKind::Proxy, &ON_DOWN, &IPVS_ON_DOWN))
            .map_or(on_down, |it| it.value),
        connect_timeout: table
            .take("connect_timeout", duration(MILLISECOND..=DAY))
            .map_or(DEFAULT_CONNECT_TIMEOUT, |it| it.value),
        idle_timeout: table.take("idle_timeout", duration(MILLISECOND..=MONTH)).map_or(idle, |it| it.value),
        proxy_protocol: table
            .take("proxy_protocol", one_of(&[("v1", ProxyProtocol::V1), ("v2", ProxyProtocol::V2)]))
            .map(|it| it.value),
    }
}

fn ipvs(
    table: &mut Table<'_>,
    protocol: Option<Protocol>,
    persistence_engine: Option<Arc<str>>,
) -> IpvsOptions {
    if protocol.is_some_and(|protocol| protocol != Protocol::Udp) {
        table.refuse("one_packet", "`one_packet` needs protocol \"udp\" or `fwmark`");
    }
    IpvsOptions {
        one_packet: table.take("one_packet", boolean).is_some_and(|it| it.value),
        persistence_engine,
        on_down: table
            .take("on_down", word(DataplaneKind::Ipvs, &IPVS_ON_DOWN, &ON_DOWN))
            .map_or(IpvsOnDown::default(), |it| it.value),
        on_stop: table
            .take("on_stop", one_of(&[("keep", OnStop::Keep), ("clear", OnStop::Clear)]))
            .map_or(OnStop::default(), |it| it.value),
    }
}

fn name(kind: DataplaneKind) -> &'static str {
    match kind {
        DataplaneKind::Proxy => "proxy",
        DataplaneKind::Ipvs => "ipvs",
    }
}

fn other(kind: DataplaneKind) -> DataplaneKind {
    match kind {
        DataplaneKind::Proxy => DataplaneKind::Ipvs,
        DataplaneKind::Ipvs => DataplaneKind::Proxy,
    }
}
