//! `[[virtual_server.check]]` and `[defaults.check]`
//!
//! A file for each type of check: its keys, how they become a [`Spec`], and how that is shown in return.

mod agent;
mod dialogue;
mod dns;
mod file;
mod grpc;
mod http;
mod kind;
mod ldap;
mod login;
mod mqtt;
mod ntp;
mod ping;
mod preset;
mod radius;
mod script;
mod security;
mod sip;
mod sql;
mod tls;
mod udp;
mod websocket;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tidegate_checkers::Spec;
use tidegate_engine::Initially;

use self::http::HttpKeys;
use self::kind::Kind;
use self::tls::TlsKeys;
use super::Context;
use super::model::{Check, Protocol, RealServer};
use super::place::{At, Place};
use super::reader::Table;
use super::values::{self, DAY, Port, boolean, duration, integer, ip, one_of, peer, show};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_RISE: u32 = 2;
const DEFAULT_FALL: u32 = 3;

/// What is written of a check; what is not comes from the defaults and then from the constants above.
#[derive(Debug, Clone, Default)]
pub(super) struct CheckKeys {
    kind: Option<At<Kind>>,
    interval: Option<At<Duration>>,
    timeout: Option<At<Duration>>,
    rise: Option<At<u32>>,
    fall: Option<At<u32>>,
    initially: Option<At<Initially>>,
    only_admission: Option<At<bool>>,
    port: Option<At<u16>>,
    connect_to: Option<At<SocketAddr>>,
    bind: Option<At<IpAddr>>,
    fwmark: Option<At<u32>>,
    http: HttpKeys,
    tls: TlsKeys,
}

/// `[defaults.check]`: what checks of several types have in common, and no name.
pub(super) fn defaults(mut table: Table<'_>, context: &mut Context) -> CheckKeys {
    table.refuse("name", "a name belongs to one check, not to all");
    let mut keys = CheckKeys { kind: kind::read(&mut table), ..timing(&mut table) };
    keys.http = HttpKeys::read(&mut table, context);
    keys.tls = TlsKeys::read(&mut table, context);
    kind::refuse_others(&mut table, |key, _| Some(format!("`{key}` belongs to one check, not to all")));
    table.finish();
    keys
}

/// The checks of the virtual server that `parent` is. Without any, TCP and an fwmark get one by the defaults, UDP and
/// SCTP none.
pub(super) fn read(
    parent: &mut Table<'_>,
    protocol: Option<Protocol>,
    pool: &[At<RealServer>],
    context: &mut Context,
) -> Vec<Check> {
    const NAME: &str = "[[virtual_server.check]]";
    let mut siblings = Siblings::default();
    if !parent.has("check") {
        let kind = context.defaults.kind.as_ref().map_or(Kind::Tcp, |it| it.value);
        return match (protocol, kind) {
            (Some(Protocol::Udp | Protocol::Sctp), _) | (_, Kind::None) => Vec::new(),
            (Some(Protocol::Tcp) | None, kind) => {
                let table = parent.empty(NAME);
                checked(table, Some(kind), &mut siblings, pool, context).into_iter().collect()
            }
        };
    }
    let tables = parent.tables("check", NAME);
    siblings.several = tables.len() > 1;
    let mut one = |table| one(table, &mut siblings, pool, context);
    tables.into_iter().filter_map(&mut one).collect()
}

/// What the checks of one virtual server know of each other.
#[derive(Default)]
struct Siblings {
    several: bool,
    names: BTreeSet<Arc<str>>,
    kinds: Vec<Kind>,
}

fn one(
    mut table: Table<'_>,
    siblings: &mut Siblings,
    pool: &[At<RealServer>],
    context: &mut Context,
) -> Option<Check> {
    let written = kind::read(&mut table);
    let kind = written.as_ref().or(context.defaults.kind.as_ref()).map(|it| it.value);
    if kind.is_none() && !table.has("type") && table.whole() {
        table.note(table.place, format!("[[virtual_server.check]] needs `type`: {}", kind::all()));
    }
    if kind == Some(Kind::None) {
        if siblings.several {
            let place = written.map_or(table.place, |it| it.place);
            table.note(place, "type \"none\" cannot stand beside other checks");
        }
        let nothing = |key: &str| format!("`{key}` means nothing to type \"none\", which checks nothing");
        for key in TIMING_KEYS {
            table.refuse(key, nothing(key));
        }
        kind::refuse_others(&mut table, |key, _| Some(nothing(key)));
        table.finish();
        return None;
    }
    checked(table, kind, siblings, pool, context)
}

/// A check that checks something; `kind` is none where the type is a mistake.
fn checked(
    mut table: Table<'_>,
    kind: Option<Kind>,
    siblings: &mut Siblings,
    pool: &[At<RealServer>],
    context: &mut Context,
) -> Option<Check> {
    let name = table.take("name", values::name);
    let keys = timing(&mut table);
    let spec = spec(kind, &mut table, context);
    kind::refuse_others(&mut table, |key, owners| {
        let own = kind?.name();
        Some(format!("`{key}` belongs to checks of type {owners}, and this one is \"{own}\""))
    });
    let kind = kind.unwrap_or(Kind::Tcp);
    let elsewhere = keys.port.is_some() || keys.connect_to.is_some();
    if kind == Kind::Agent && !elsewhere && table.whole() {
        table.note(table.place, "a check of type \"agent\" needs `port`: the agent's own, not the service's");
    }

    let timing_place = keys.timeout.as_ref().or(keys.interval.as_ref()).map(|it| it.place);
    let bind_place = keys.bind.as_ref().map(|it| it.place);
    let (name, name_place) = match name {
        Some(name) => (name.value, name.place),
        None => (kind.ordinal(&siblings.kinds), table.place),
    };
    siblings.kinds.push(kind);
    let check = build(keys, spec.unwrap_or(Spec::Tcp), name, context);
    if check.timeout > check.interval {
        table.note(
            timing_place.or(context.defaults.timeout.as_ref().map(|it| it.place)).unwrap_or(table.place),
            format!(
                "timeout {} is more than interval {}: a check must end before the next one begins",
                show(check.timeout),
                show(check.interval)
            ),
        );
    }
    if !siblings.names.insert(check.name.clone()) {
        table.note(name_place, format!("there is a check named \"{}\" already", check.name));
    }
    one_family(&table, &check, bind_place, pool);
    table.finish();
    Some(check)
}

/// What is asked; none where that cannot be said for mistakes, which are noted.
fn spec(kind: Option<Kind>, table: &mut Table<'_>, context: &mut Context) -> Option<Spec> {
    match kind {
        Some(Kind::Tcp | Kind::None) => Some(Spec::Tcp),
        Some(Kind::TcpHalfOpen) => Some(Spec::TcpHalfOpen),
        Some(Kind::Http) => Some(http::read(table, false, context)),
        Some(Kind::Agent) => Some(agent::read(table, context)),
        Some(Kind::File) => file::read(table),
        Some(Kind::Sql(protocol)) => sql::read(protocol, table, context),
        Some(Kind::Ldap) => ldap::read(table, context),
        Some(Kind::Grpc) => Some(grpc::read(table, context)),
        Some(Kind::Websocket) => Some(websocket::read(table, context)),
        Some(Kind::Mqtt) => Some(mqtt::read(table, context)),
        Some(Kind::Sip) => Some(sip::read(table, context)),
        Some(Kind::Script) => script::read(table, context),
        Some(Kind::Dialogue) => Some(dialogue::read(table, context)),
        Some(Kind::Preset(preset)) => Some(preset::read(preset, table, context)),
        Some(Kind::Dns) => dns::read(table, context),
        Some(Kind::Radius) => radius::read(table, context),
        Some(Kind::Udp) => Some(udp::read(table)),
        Some(Kind::Ping) => Some(ping::read(table)),
        Some(Kind::Ntp) => Some(ntp::read(table)),
        // With a type that is a mistake it is likely to be one of HTTP's.
        Some(Kind::Https) | None => Some(http::read(table, true, context)),
    }
}

/// What a check asks, key by key.
pub(crate) fn question(spec: &Spec) -> Vec<(&'static str, String)> {
    let (kind, mut answers) = match spec {
        Spec::Tcp => (Kind::Tcp, Vec::new()),
        Spec::TcpHalfOpen => (Kind::TcpHalfOpen, Vec::new()),
        Spec::Agent(spec) => (Kind::Agent, agent::question(spec)),
        Spec::File(spec) => (Kind::File, file::question(spec)),
        Spec::Sql(spec) => (Kind::Sql(spec.protocol), sql::question(spec)),
        Spec::Ldap(spec) => (Kind::Ldap, ldap::question(spec)),
        Spec::Grpc(spec) => (Kind::Grpc, grpc::question(spec)),
        Spec::Websocket(spec) => (Kind::Websocket, websocket::question(spec)),
        Spec::Mqtt(spec) => (Kind::Mqtt, mqtt::question(spec)),
        Spec::Sip(spec) => (Kind::Sip, sip::question(spec)),
        Spec::Script(spec) => (Kind::Script, script::question(spec)),
        Spec::Dialogue(spec) => (spec.preset.map_or(Kind::Dialogue, Kind::Preset), dialogue::question(spec)),
        Spec::Http(spec) => (if spec.tls.is_some() { Kind::Https } else { Kind::Http }, http::question(spec)),
        Spec::Dns(spec) => (Kind::Dns, dns::question(spec)),
        Spec::Radius(spec) => (Kind::Radius, radius::question(spec)),
        Spec::Udp(spec) => (Kind::Udp, udp::question(spec)),
        Spec::Ping(spec) => (Kind::Ping, ping::question(spec)),
        Spec::Ntp(spec) => (Kind::Ntp, ntp::question(spec)),
    };
    answers.push(("type", kind.name().to_owned()));
    answers
}

/// A local address of one family cannot be used to reach a target of the other.
fn one_family(table: &Table<'_>, check: &Check, place: Option<Place>, pool: &[At<RealServer>]) {
    let Some(bind) = check.bind else { return };
    let pool = pool.iter().map(|server| server.value.address);
    let mut targets = check.connect_to.into_iter().chain(pool.filter(|_| check.connect_to.is_none()));
    if let Some(target) = targets.find(|target| target.is_ipv4() != bind.is_ipv4()) {
        table.note(
            place.unwrap_or(table.place),
            format!("bind {bind} and the target {target} are of different address families"),
        );
    }
}

/// What [`timing`] reads, and the name.
const TIMING_KEYS: [&str; 11] = [
    "name",
    "interval",
    "timeout",
    "rise",
    "fall",
    "initially",
    "only_admission",
    "port",
    "connect_to",
    "bind",
    "fwmark",
];

fn timing(table: &mut Table<'_>) -> CheckKeys {
    let positive = || duration(Duration::from_millis(1)..=DAY);
    CheckKeys {
        kind: None,
        interval: table.take("interval", positive()),
        timeout: table.take("timeout", positive()),
        rise: table.take("rise", integer(1..=1_000_000)),
        fall: table.take("fall", integer(1..=1_000_000)),
        initially: table.take("initially", one_of(&[("down", Initially::Down), ("up", Initially::Up)])),
        only_admission: table.take("only_admission", boolean),
        port: table.take("port", integer(1..=65_535)),
        connect_to: table.take("connect_to", peer(Port::Needed)),
        bind: table.take("bind", ip),
        fwmark: table.take("fwmark", integer(1..=u64::from(u32::MAX))),
        http: HttpKeys::default(),
        tls: TlsKeys::default(),
    }
}

fn build(keys: CheckKeys, spec: Spec, name: String, context: &mut Context) -> Check {
    fn pick<T: Copy>(own: Option<&At<T>>, default: Option<&At<T>>) -> Option<T> {
        own.or(default).map(|it| it.value)
    }
    let defaults = &context.defaults;
    let interval = pick(keys.interval.as_ref(), defaults.interval.as_ref()).unwrap_or(DEFAULT_INTERVAL);
    let timeout =
        pick(keys.timeout.as_ref(), defaults.timeout.as_ref()).unwrap_or(DEFAULT_TIMEOUT.min(interval));
    // An agent may never be heard; then it is for other checks to say.
    let initially = if let Spec::Agent(_) = spec { Initially::Up } else { Initially::default() };
    Check {
        interval,
        timeout,
        rise: pick(keys.rise.as_ref(), defaults.rise.as_ref()).unwrap_or(DEFAULT_RISE),
        fall: pick(keys.fall.as_ref(), defaults.fall.as_ref()).unwrap_or(DEFAULT_FALL),
        initially: pick(keys.initially.as_ref(), defaults.initially.as_ref()).unwrap_or(initially),
        only_admission: pick(keys.only_admission.as_ref(), defaults.only_admission.as_ref()).unwrap_or(false),
        port: pick(keys.port.as_ref(), defaults.port.as_ref()),
        connect_to: pick(keys.connect_to.as_ref(), defaults.connect_to.as_ref()),
        bind: pick(keys.bind.as_ref(), defaults.bind.as_ref()),
        fwmark: pick(keys.fwmark.as_ref(), defaults.fwmark.as_ref()),
        name: context.check_name(&name),
        spec: context.spec(spec),
    }
}
