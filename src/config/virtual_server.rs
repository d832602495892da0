//! `[[virtual_server]]`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::Context;
use super::check;
use super::model::{
    DataplaneKind, OnDown, Persistence, Protocol, ProxyProtocol, Scheduler, SchedulerFlags, VirtualServer,
};
use super::place::At;
use super::reader::Table;
use super::validate;
use super::values::{self, DAY, duration, integer, one_of, peer, quoted, string};

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_IDLE_TCP: Duration = Duration::from_secs(600);
const DEFAULT_IDLE_UDP: Duration = Duration::from_secs(30);
const DEFAULT_PERSISTENCE: Duration = Duration::from_secs(300);
/// The longest that an idle connection or a client is remembered.
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const MILLISECOND: Duration = Duration::from_millis(1);

const SCHEDULERS: [(&str, Scheduler); 6] = [
    ("rr", Scheduler::RoundRobin),
    ("wrr", Scheduler::WeightedRoundRobin),
    ("lc", Scheduler::LeastConnection),
    ("wlc", Scheduler::WeightedLeastConnection),
    ("sh", Scheduler::SourceHash),
    ("mh", Scheduler::Maglev),
];
/// What else IPVS has.
const IPVS_SCHEDULERS: [&str; 8] = ["dh", "fo", "lblc", "lblcr", "nq", "ovf", "sed", "twos"];

/// Where a mistake was made a default stands; such a virtual server is never used.
pub(super) fn read(mut table: Table<'_>, context: &mut Context) -> VirtualServer {
    for key in ["forwarding", "fwmark"] {
        table.refuse(
            key,
            format!("`{key}` is for dataplane \"ipvs\", which is not available in this version"),
        );
    }
    let name = table.require("name", values::name);
    let listen = table_listen(&mut table);
    let protocol = table.take("protocol", protocol).map_or(Protocol::Tcp, |it| it.value);
    table.take("dataplane", dataplane);
    let scheduler = table.take("scheduler", scheduler).map_or(Scheduler::default(), |it| it.value);
    let quorum = table.take("quorum", integer(1..=u64::from(u32::MAX)));
    let hysteresis = table.take("hysteresis", integer(0..=u64::from(u32::MAX)));
    let sorry_server = table.take("sorry_server", peer);
    let idle = if protocol == Protocol::Udp { DEFAULT_IDLE_UDP } else { DEFAULT_IDLE_TCP };
    let or = |it: Option<At<Duration>>, default| it.map_or(default, |it| it.value);
    overload(&mut table);

    let before = table.mistakes();
    let pool = super::real_server::read(table.tables("real_server", "[[virtual_server.real_server]]"));
    validate::pool(&table, &pool, &listen, sorry_server.as_ref());
    let pool_is_right = table.mistakes() == before;
    if pool_is_right {
        validate::quorum(&table, &pool, quorum.as_ref(), hysteresis.as_ref(), sorry_server.is_some());
    }

    let name = context.virtual_server(name, &listen, protocol);
    let mut real_servers: Vec<_> = pool.into_iter().map(|server| server.value).collect();
    real_servers.sort_unstable_by_key(|server| server.address);
    let checks = {
        let written = table.has("check");
        let tables = table.tables("check", "[[virtual_server.check]]");
        check::read(tables, written, protocol, &real_servers, context)
    };
    let server = VirtualServer {
        name,
        listen: listen.into_iter().map(|it| it.value).collect(),
        protocol,
        dataplane: DataplaneKind::Proxy,
        scheduler,
        scheduler_flags: scheduler_flags(&mut table, scheduler),
        persistence: persistence(&mut table),
        quorum: quorum.map_or(1, |it| it.value),
        hysteresis: hysteresis.map_or(0, |it| it.value),
        sorry_server: sorry_server.map(|it| it.value),
        slow_start: or(table.take("slow_start", duration(Duration::ZERO..=DAY)), Duration::ZERO),
        on_down: table
            .take("on_down", one_of(&[("keep", OnDown::Keep), ("reset", OnDown::Reset)]))
            .map_or(OnDown::default(), |it| it.value),
        connect_timeout: or(
            table.take("connect_timeout", duration(MILLISECOND..=DAY)),
            DEFAULT_CONNECT_TIMEOUT,
        ),
        idle_timeout: or(table.take("idle_timeout", duration(MILLISECOND..=MONTH)), idle),
        proxy_protocol: proxy_protocol(&mut table, protocol),
        checks,
        real_servers,
    };
    table.finish();
    server
}

fn table_listen(table: &mut Table<'_>) -> Vec<At<SocketAddr>> {
    if !table.has("listen") && table.whole() {
        table.note(table.place, "[[virtual_server]] needs `listen`");
    }
    table.list("listen", values::listen)
}

fn protocol(value: &DeValue<'_>) -> Result<Protocol, String> {
    match value.as_str() {
        Some("sctp") => {
            Err("\"sctp\" is for dataplane \"ipvs\", which is not available in this version".to_owned())
        }
        _ => one_of(&[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)])(value),
    }
}

fn dataplane(value: &DeValue<'_>) -> Result<DataplaneKind, String> {
    match string(value)? {
        "proxy" => Ok(DataplaneKind::Proxy),
        other => Err(format!("{} is not available in this version; available: \"proxy\"", quoted(other))),
    }
}

fn scheduler(value: &DeValue<'_>) -> Result<Scheduler, String> {
    match value.as_str() {
        Some(name) if IPVS_SCHEDULERS.contains(&name) => {
            let available = SCHEDULERS.map(|(name, _)| format!("\"{name}\"")).join(", ");
            Err(format!(
                "\"{name}\" is a scheduler of IPVS that the proxy does not have; available: {available}"
            ))
        }
        _ => one_of(&SCHEDULERS)(value),
    }
}

fn scheduler_flags(table: &mut Table<'_>, scheduler: Scheduler) -> SchedulerFlags {
    if !matches!(scheduler, Scheduler::SourceHash | Scheduler::Maglev) {
        table.refuse("scheduler_flags", "`scheduler_flags` belongs to the schedulers \"sh\" and \"mh\"");
    }
    let mut flags = SchedulerFlags::default();
    for flag in table.list("scheduler_flags", one_of(&[("fallback", true), ("port", false)])) {
        if flag.value {
            flags.fallback = true;
        } else {
            flags.port = true;
        }
    }
    flags
}

/// A table, or only its timeout as a string.
fn persistence(table: &mut Table<'_>) -> Option<Persistence> {
    let timeout = || duration(Duration::from_secs(1)..=MONTH);
    let whole = |timeout| Persistence { timeout, prefix_v4: 32, prefix_v6: 128 };
    if table.has_string("persistence") {
        return table.take("persistence", timeout()).map(|it| whole(it.value));
    }
    let mut table = table.table("persistence", "persistence = { timeout = \"300s\" }")?;
    let mut persistence = whole(table.take("timeout", timeout()).map_or(DEFAULT_PERSISTENCE, |it| it.value));
    if let Some(prefix) = table.take("prefix_v4", integer(1..=32)) {
        persistence.prefix_v4 = prefix.value;
    }
    if let Some(prefix) = table.take("prefix_v6", integer(1..=128)) {
        persistence.prefix_v6 = prefix.value;
    }
    table.finish();
    Some(persistence)
}

fn proxy_protocol(table: &mut Table<'_>, protocol: Protocol) -> Option<ProxyProtocol> {
    if protocol != Protocol::Tcp {
        table.refuse("proxy_protocol", "`proxy_protocol` needs protocol \"tcp\"");
    }
    table
        .take("proxy_protocol", one_of(&[("v1", ProxyProtocol::V1), ("v2", ProxyProtocol::V2)]))
        .map(|it| it.value)
}

/// Only `mode = "off"` so far, which is what happens without it.
fn overload(table: &mut Table<'_>) {
    let Some(mut table) = table.table("overload", "[virtual_server.overload]") else { return };
    table.require("mode", |value| match value.as_str() {
        Some(mode @ ("protect" | "observe")) => Err(format!("\"{mode}\" is not available in this version")),
        _ => one_of(&[("off", ())])(value),
    });
    table.finish();
}

impl Context {
    /// Remembers what must be unique over all virtual servers.
    fn virtual_server(
        &mut self,
        name: Option<At<String>>,
        listen: &[At<SocketAddr>],
        protocol: Protocol,
    ) -> Arc<str> {
        let Some(At { value, place }) = name else { return "".into() };
        let name: Arc<str> = value.into();
        self.names.push(At { value: name.clone(), place });
        for it in listen {
            self.listens.push(At { value: (protocol, it.value, name.clone()), place: it.place });
        }
        name
    }
}
