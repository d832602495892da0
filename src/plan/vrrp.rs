//! Virtual routers, described.

use std::fmt::Write as _;

use tidegate_vrrp::config::{Checksum, Effect, Peers, Router, Version};
use tidegate_vrrp::holding::{HeldAddress, Route, Rule};

use crate::config::show::{duration, file, list, or_none, quoted};
use crate::config::{VirtualRouter, Watch};
use tidegate_checkers::Command;

pub(super) fn router(it: &VirtualRouter) -> Vec<(&'static str, String)> {
    let VirtualRouter { router, holding, notify } = it;
    let (peers, min_ttl) = match &router.peers {
        Peers::Multicast => (None, None),
        Peers::Unicast { peers, min_ttl } => (Some(list(peers)), Some(min_ttl)),
    };
    let (own, extra) = holding.addresses.split_at(router.addresses.len().min(holding.addresses.len()));
    vec![
        ("interface", router.interface.to_string()),
        ("router_id", router.router_id.to_string()),
        ("version", if router.version == Version::V2 { "2" } else { "3" }.to_owned()),
        ("priority", router.priority.to_string()),
        ("advert_interval", duration(router.interval)),
        ("preempt", router.preempt.to_string()),
        ("preempt_delay", duration(router.preempt_delay)),
        ("addresses", list(&shown(own, held))),
        ("extra_addresses", list(&shown(extra, held))),
        ("unicast_peers", or_none(peers)),
        ("min_ttl", or_none(min_ttl)),
        ("source", or_none(router.source)),
        // Not which.
        ("password", or_none(router.authentication.map(|_| "set"))),
        (
            "checksum",
            if router.checksum == Checksum::Message { "message" } else { "pseudo-header" }.to_owned(),
        ),
        ("announce", announce(router)),
        ("group", or_none(router.group.as_deref())),
        ("track", list(&router.tracks.iter().map(track).collect::<Vec<_>>())),
        ("virtual_mac", holding.virtual_mac.to_string()),
        ("accept", holding.accept.to_string()),
        ("route", list(&shown(&holding.routes, route))),
        ("rule", list(&shown(&holding.rules, rule))),
        ("notify", or_none(notify.as_ref().map(|it| command(&it.command)))),
        ("notify.timeout", or_none(notify.as_ref().map(|it| duration(it.timeout)))),
    ]
}

pub(super) fn watch(it: &Watch) -> Vec<(&'static str, String)> {
    match it {
        Watch::Interface(interface) => vec![("interface", interface.to_string())],
        Watch::Script { command: script, interval, timeout, rise, fall } => vec![
            ("command", command(script)),
            ("interval", duration(*interval)),
            ("timeout", duration(*timeout)),
            ("rise", rise.to_string()),
            ("fall", fall.to_string()),
        ],
        Watch::File { path, interval } => vec![("path", file(path)), ("interval", duration(*interval))],
        Watch::Process { program, least, interval } => vec![
            ("program", quoted(program)),
            ("least", least.to_string()),
            ("interval", duration(*interval)),
        ],
        Watch::Quorum(virtual_server) => vec![("virtual_server", virtual_server.to_string())],
    }
}

fn shown<T>(values: &[T], show: fn(&T) -> String) -> Vec<String> {
    values.iter().map(show).collect()
}

fn announce(it: &Router) -> String {
    let (delay, refresh) = (duration(it.announce.delay), duration(it.announce.refresh));
    format!("{{ count = {}, delay = {delay}, refresh = {refresh} }}", it.announce.count)
}

fn track(it: &tidegate_vrrp::config::Track) -> String {
    match it.effect {
        Effect::Fault => it.key.to_string(),
        Effect::Weight(weight) => format!("{} weight {weight}", it.key),
    }
}

fn command(it: &Command) -> String {
    let arguments: Vec<_> = it.arguments.iter().map(|it| quoted(it)).collect();
    let user = it.user.as_ref().map(|user| format!(" as {}", user.name)).unwrap_or_default();
    arguments.join(" ") + &user
}

fn held(it: &HeldAddress) -> String {
    let on = it.interface.as_ref().map(|interface| format!(" on {interface}")).unwrap_or_default();
    format!("{}/{}{on}", it.address, it.prefix)
}

fn route(it: &Route) -> String {
    let mut text = format!("{}/{}", it.destination, it.prefix);
    add(&mut text, "via", it.via);
    add(&mut text, "interface", it.interface.as_ref());
    add(&mut text, "source", it.source);
    add(&mut text, "table", it.table);
    add(&mut text, "metric", it.metric);
    text
}

fn rule(it: &Rule) -> String {
    let network = |(address, prefix)| format!("{address}/{prefix}");
    let mut text = format!("{} {}", it.priority, if it.ipv6 { "ipv6" } else { "ipv4" });
    add(&mut text, "from", it.from.map(network));
    add(&mut text, "to", it.to.map(network));
    add(&mut text, "input", it.input.as_ref());
    add(&mut text, "fwmark", it.fwmark);
    add(&mut text, "table", Some(it.table));
    text
}

fn add<T: std::fmt::Display>(text: &mut String, what: &str, value: Option<T>) {
    if let Some(value) = value {
        let _ = write!(text, " {what} {value}");
    }
}
