//! `[[virtual_server.check]]` and `[defaults.check]`

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tidegate_checkers::Spec;
use tidegate_engine::Initially;

use super::Context;
use super::http::{HTTP_KEYS, HTTPS_KEYS, HttpKeys, TlsKeys};
use super::model::{Check, Protocol, RealServer};
use super::place::{At, Place};
use super::reader::Table;
use super::values::{self, DAY, Port, boolean, duration, integer, ip, one_of, peer, show};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_RISE: u32 = 2;
const DEFAULT_FALL: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Http,
    Https,
    None,
}

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

/// `[defaults.check]`: keys of every type, and no name.
pub(super) fn defaults(mut table: Table<'_>, context: &mut Context) -> CheckKeys {
    table.refuse("name", "a name belongs to one check, not to all");
    let kind = kind(&mut table);
    let mut keys = CheckKeys { kind, ..timing(&mut table) };
    keys.http = HttpKeys::read(&mut table, context);
    keys.tls = TlsKeys::read(&mut table, context);
    table.finish();
    keys
}

/// The checks of one virtual server. Without any, TCP and an fwmark get one by the defaults, UDP and SCTP none.
pub(super) fn read(
    tables: Vec<Table<'_>>,
    written: bool,
    protocol: Option<Protocol>,
    pool: &[At<RealServer>],
    context: &mut Context,
) -> Vec<Check> {
    if !written {
        let kind = context.defaults.kind.as_ref().map_or(Kind::Tcp, |it| it.value);
        return match (protocol, kind) {
            (Some(Protocol::Udp | Protocol::Sctp), _) | (_, Kind::None) => Vec::new(),
            (Some(Protocol::Tcp) | None, kind) => {
                vec![build(CheckKeys::default(), kind, kind.name().into(), context)]
            }
        };
    }
    let several = tables.len() > 1;
    let mut checks = Vec::new();
    let mut names = BTreeSet::new();
    for table in tables {
        checks.extend(one(table, several, &mut names, &checks, pool, context));
    }
    checks
}

fn one(
    mut table: Table<'_>,
    several: bool,
    names: &mut BTreeSet<Arc<str>>,
    before: &[Check],
    pool: &[At<RealServer>],
    context: &mut Context,
) -> Option<Check> {
    let written = kind(&mut table);
    let kind = written.as_ref().or(context.defaults.kind.as_ref()).map(|it| it.value);
    if kind.is_none() && !table.has("type") && table.whole() {
        table.note(
            table.place,
            "[[virtual_server.check]] needs `type`: \"tcp\", \"http\", \"https\" or \"none\"",
        );
    }
    if kind == Some(Kind::None) {
        if several {
            let place = written.map_or(table.place, |it| it.place);
            table.note(place, "type \"none\" cannot stand beside other checks");
        }
        for key in TIMING_KEYS.into_iter().chain(HTTP_KEYS).chain(HTTPS_KEYS) {
            table.refuse(key, format!("`{key}` means nothing to type \"none\", which checks nothing"));
        }
        table.finish();
        return None;
    }

    let name = table.take("name", values::name);
    let mut keys = timing(&mut table);
    if kind == Some(Kind::Tcp) {
        for key in HTTP_KEYS {
            table.refuse(
                key,
                format!("`{key}` belongs to checks of type \"http\" or \"https\", and this one is \"tcp\""),
            );
        }
    } else {
        keys.http = HttpKeys::read(&mut table, context);
    }
    match kind {
        Some(kind @ (Kind::Tcp | Kind::Http)) => {
            for key in HTTPS_KEYS {
                let own = kind.name();
                table.refuse(
                    key,
                    format!("`{key}` belongs to checks of type \"https\", and this one is \"{own}\""),
                );
            }
        }
        _ => keys.tls = TlsKeys::read(&mut table, context),
    }
    let kind = kind.unwrap_or(Kind::Tcp);

    let timing_place = keys.timeout.as_ref().or(keys.interval.as_ref()).map(|it| it.place);
    let bind_place = keys.bind.as_ref().map(|it| it.place);
    let (name, name_place) = match name {
        Some(name) => (name.value, name.place),
        None => (kind.ordinal(before), table.place),
    };
    let check = build(keys, kind, name, context);
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
    if !names.insert(check.name.clone()) {
        table.note(name_place, format!("there is a check named \"{}\" already", check.name));
    }
    one_family(&table, &check, bind_place, pool);
    table.finish();
    Some(check)
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

const KINDS: [(&str, Kind); 4] =
    [("tcp", Kind::Tcp), ("http", Kind::Http), ("https", Kind::Https), ("none", Kind::None)];

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

impl Kind {
    fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// `http`, `http-2`: by the number of checks of that type before.
    fn ordinal(self, before: &[Check]) -> String {
        let same = before.iter().filter(|check| Kind::of(&check.spec) == self).count();
        if same == 0 { self.name().to_owned() } else { format!("{}-{}", self.name(), same + 1) }
    }

    fn of(spec: &Spec) -> Self {
        match spec {
            Spec::Tcp => Self::Tcp,
            Spec::Http(http) if http.tls.is_some() => Self::Https,
            Spec::Http(_) => Self::Http,
        }
    }
}

fn kind(table: &mut Table<'_>) -> Option<At<Kind>> {
    table.take("type", one_of(&KINDS))
}

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

fn build(keys: CheckKeys, kind: Kind, name: String, context: &mut Context) -> Check {
    fn pick<T: Copy>(own: Option<&At<T>>, default: Option<&At<T>>) -> Option<T> {
        own.or(default).map(|it| it.value)
    }
    let defaults = &context.defaults;
    let interval = pick(keys.interval.as_ref(), defaults.interval.as_ref()).unwrap_or(DEFAULT_INTERVAL);
    let timeout =
        pick(keys.timeout.as_ref(), defaults.timeout.as_ref()).unwrap_or(DEFAULT_TIMEOUT.min(interval));
    let tls = (kind == Kind::Https).then(|| keys.tls.or(&defaults.tls));
    let spec = match kind {
        Kind::Tcp | Kind::None => Spec::Tcp,
        Kind::Http | Kind::Https => Spec::Http(Box::new(keys.http.or(&defaults.http).into_spec(tls))),
    };
    Check {
        interval,
        timeout,
        rise: pick(keys.rise.as_ref(), defaults.rise.as_ref()).unwrap_or(DEFAULT_RISE),
        fall: pick(keys.fall.as_ref(), defaults.fall.as_ref()).unwrap_or(DEFAULT_FALL),
        initially: pick(keys.initially.as_ref(), defaults.initially.as_ref()).unwrap_or_default(),
        only_admission: pick(keys.only_admission.as_ref(), defaults.only_admission.as_ref()).unwrap_or(false),
        port: pick(keys.port.as_ref(), defaults.port.as_ref()),
        connect_to: pick(keys.connect_to.as_ref(), defaults.connect_to.as_ref()),
        bind: pick(keys.bind.as_ref(), defaults.bind.as_ref()),
        fwmark: pick(keys.fwmark.as_ref(), defaults.fwmark.as_ref()),
        name: context.check_name(&name),
        spec: context.spec(spec),
    }
}
