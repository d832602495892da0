//! `[[virtual_server]]`

use std::sync::Arc;
use std::time::Duration;

use tidegate_engine::Mode;
use toml::de::DeValue;

use super::check;
use super::dataplane::{self, word};
use super::model::{
    DataplaneKind, Forwarding, Listen, Persistence, Protocol, Scheduler, SchedulerFlags, VirtualServer,
};
use super::place::At;
use super::reader::Table;
use super::values::{self, DAY, MONTH, Port, duration, integer, one_of};
use super::{Context, forwarding, listen, real_server, validate};

const DEFAULT_PERSISTENCE: Duration = Duration::from_secs(300);

/// First those that the proxy has too.
const SCHEDULERS: [(&str, Scheduler); 14] = [
    ("rr", Scheduler::RoundRobin),
    ("wrr", Scheduler::WeightedRoundRobin),
    ("lc", Scheduler::LeastConnection),
    ("wlc", Scheduler::WeightedLeastConnection),
    ("sh", Scheduler::SourceHash),
    ("mh", Scheduler::Maglev),
    ("dh", Scheduler::DestinationHash),
    ("lblc", Scheduler::LocalityLeastConnection),
    ("lblcr", Scheduler::LocalityLeastConnectionReplicated),
    ("sed", Scheduler::ShortestExpectedDelay),
    ("nq", Scheduler::NeverQueue),
    ("fo", Scheduler::WeightedFailover),
    ("ovf", Scheduler::WeightedOverflow),
    ("twos", Scheduler::PowerOfTwo),
];
const OF_THE_PROXY: usize = 6;

/// Where a mistake was made a default stands; such a virtual server is never used.
pub(super) fn read(mut table: Table<'_>, context: &mut Context) -> VirtualServer {
    let name = table.require("name", values::name);
    let dataplane = dataplane::kind(&mut table);
    let (listen, protocol) = listen::read(&mut table, dataplane);
    let scheduler = scheduler(&mut table, dataplane);
    let (persistence, engine) = persistence(&mut table, dataplane, protocol);
    let quorum = table.take("quorum", integer(1..=u64::from(u32::MAX)));
    let hysteresis = table.take("hysteresis", integer(0..=u64::from(u32::MAX)));
    let overload = overload(&mut table);

    let forwarding = forwarding::read(&mut table, dataplane, Forwarding::Nat);
    let port = ports_of_real_servers(&listen, protocol);
    let sorry_server = forwarding::sorry_server(&mut table, dataplane, forwarding, port);
    let before = table.mistakes();
    let tables = table.tables("real_server", "[[virtual_server.real_server]]");
    let pool = real_server::read(tables, dataplane, forwarding, port);
    validate::pool(&table, &pool, &listen, sorry_server.as_ref());
    let pool_is_right = table.mistakes() == before;
    if pool_is_right {
        validate::quorum(&table, &pool, quorum.as_ref(), hysteresis.as_ref(), table.has("sorry_server"));
    }
    if dataplane == DataplaneKind::Ipvs {
        validate::reachable(&table, &pool, &listen, sorry_server.as_ref());
    }

    let name = context.virtual_server(name, &listen, dataplane);
    let checks = check::read(&mut table, protocol, &pool, context);
    validate::checked_ports(&table, &pool, &checks);
    let mut real_servers: Vec<_> = pool.into_iter().map(|server| server.value).collect();
    real_servers.sort_unstable_by_key(|server| server.address);
    // It has the room in which they were read, which is twice as much and more.
    real_servers.shrink_to_fit();
    let server = VirtualServer {
        name,
        listen: listen.into_iter().map(|it| it.value).collect(),
        dataplane: dataplane::options(&mut table, dataplane, protocol, engine),
        scheduler,
        scheduler_flags: scheduler_flags(&mut table, scheduler),
        persistence,
        quorum: quorum.map_or(1, |it| it.value),
        hysteresis: hysteresis.map_or(0, |it| it.value),
        sorry_server: sorry_server.map(|it| it.value),
        slow_start: table
            .take("slow_start", duration(Duration::ZERO..=DAY))
            .map_or(Duration::ZERO, |it| it.value),
        overload,
        checks,
        real_servers,
    };
    table.finish();
    server
}

/// Port 0, the port that the client asked for, where the virtual server does not have a single one.
fn ports_of_real_servers(listen: &[At<Listen>], protocol: Option<Protocol>) -> Port {
    let all = |it: &At<Listen>| matches!(it.value, Listen::Address { address, .. } if address.port() == 0);
    if protocol.is_none() || listen.iter().any(all) { Port::OrAll } else { Port::Needed }
}

fn scheduler(table: &mut Table<'_>, dataplane: DataplaneKind) -> Scheduler {
    let own = match dataplane {
        DataplaneKind::Proxy => &SCHEDULERS[..OF_THE_PROXY],
        DataplaneKind::Ipvs => &SCHEDULERS,
    };
    table.take("scheduler", word(dataplane, own, &SCHEDULERS)).map_or(Scheduler::default(), |it| it.value)
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

/// A table, or only its timeout as a string; and the persistence engine.
fn persistence(
    table: &mut Table<'_>,
    dataplane: DataplaneKind,
    protocol: Option<Protocol>,
) -> (Option<Persistence>, Option<Arc<str>>) {
    let timeout = |value: &DeValue<'_>| {
        let timeout = duration(Duration::from_secs(1)..=MONTH)(value)?;
        if dataplane == DataplaneKind::Ipvs && timeout.subsec_nanos() > 0 {
            return Err(format!(
                "must be whole seconds with dataplane \"ipvs\", not {}",
                values::show(timeout)
            ));
        }
        Ok(timeout)
    };
    let whole = |timeout| Persistence { timeout, prefix_v4: 32, prefix_v6: 128 };
    if !table.has_table("persistence") {
        return (table.take("persistence", timeout).map(|it| whole(it.value)), None);
    }
    let Some(mut table) = table.table("persistence", "persistence = { timeout = \"300s\" }") else {
        return (None, None);
    };
    let mut persistence = whole(table.take("timeout", timeout).map_or(DEFAULT_PERSISTENCE, |it| it.value));
    if let Some(prefix) = table.take("prefix_v4", integer(1..=32)) {
        persistence.prefix_v4 = prefix.value;
    }
    if let Some(prefix) = table.take("prefix_v6", integer(1..=128)) {
        persistence.prefix_v6 = prefix.value;
    }
    let engine = persistence_engine(&mut table, dataplane, protocol);
    table.finish();
    (Some(persistence), engine)
}

/// The kernel has one.
fn persistence_engine(
    table: &mut Table<'_>,
    dataplane: DataplaneKind,
    protocol: Option<Protocol>,
) -> Option<Arc<str>> {
    if dataplane == DataplaneKind::Proxy {
        dataplane::refuse(table, dataplane, &["engine"]);
        return None;
    }
    if protocol != Some(Protocol::Udp) {
        table.refuse("engine", "`engine` needs protocol \"udp\"");
        return None;
    }
    table.take("engine", one_of(&[("sip", "sip")])).map(|it| it.value.into())
}

fn overload(table: &mut Table<'_>) -> Mode {
    let Some(mut table) = table.table("overload", "[virtual_server.overload]") else {
        return Mode::default();
    };
    let modes = [("protect", Mode::Protect), ("observe", Mode::Observe), ("off", Mode::Off)];
    let mode = table.require("mode", one_of(&modes));
    table.finish();
    mode.map(|it| it.value).unwrap_or_default()
}

impl Context {
    /// Remembers what must be unique over all virtual servers.
    fn virtual_server(
        &mut self,
        name: Option<At<String>>,
        listen: &[At<Listen>],
        dataplane: DataplaneKind,
    ) -> Arc<str> {
        let Some(At { value, place }) = name else { return "".into() };
        let name: Arc<str> = value.into();
        self.names.push(At { value: name.clone(), place });
        for it in listen {
            self.listens.push(At { value: (it.value, dataplane, name.clone()), place: it.place });
        }
        let address = listen.iter().find_map(|it| match it.value {
            Listen::Address { address, .. } => Some(address),
            Listen::Fwmark { .. } => None,
        });
        self.served = (name.clone(), address);
        name
    }
}
