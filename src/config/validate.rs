//! Rules over several values.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::model::{Check, DataplaneKind, Family, Forwarding, Listen, Protocol, RealServer, SorryServer};
use super::place::{At, Notes};
use super::reader::Table;

/// A real server stands once in a pool, the sorry server not at all, and none of them is the virtual server itself.
pub(super) fn pool(
    table: &Table<'_>,
    pool: &[At<RealServer>],
    listen: &[At<Listen>],
    sorry_server: Option<&At<SorryServer>>,
) {
    let mut seen = BTreeSet::new();
    for At { value: RealServer { address, .. }, place } in pool {
        if !seen.insert(*address) {
            table.note(*place, format!("real server {address} is in the pool already"));
        }
        if leads_back(listen, *address) {
            table.note(*place, format!("real server {address} is the virtual server itself: a loop"));
        }
    }
    if let Some(At { value: SorryServer { address: sorry, .. }, place }) = sorry_server {
        if seen.contains(sorry) {
            table.note(
                *place,
                format!("sorry server {sorry} is one of the real servers it would stand in for"),
            );
        }
        if leads_back(listen, *sorry) {
            table.note(*place, format!("sorry server {sorry} is the virtual server itself: a loop"));
        }
    }
}

fn leads_back(listen: &[At<Listen>], address: SocketAddr) -> bool {
    listen.iter().any(|it| {
        let Listen::Address { address: own, .. } = it.value else { return false };
        let wildcard = own.ip().is_unspecified()
            && address.ip().is_loopback()
            && own.port() == address.port()
            && own.is_ipv4() == address.is_ipv4();
        own == address || wildcard
    })
}

/// IPVS leads packets to where the forwarding can lead them.
pub(super) fn reachable(
    table: &Table<'_>,
    pool: &[At<RealServer>],
    listen: &[At<Listen>],
    sorry_server: Option<&At<SorryServer>>,
) {
    let pool = pool.iter().map(|it| ("real server", it.place, it.value.address, it.value.forwarding));
    let sorry = sorry_server.map(|it| ("sorry server", it.place, it.value.address, it.value.forwarding));
    for (what, place, address, forwarding) in pool.chain(sorry) {
        if let Some(why) = listen.iter().find_map(|it| unreachable(it.value, address, forwarding)) {
            table.note(place, format!("{what} {address} {why}"));
        }
    }
}

/// Only tunnels lead to the other address family, and only NAT rewrites ports: from a single one.
fn unreachable(listen: Listen, address: SocketAddr, forwarding: Forwarding) -> Option<String> {
    let (is_ipv4, own) = match listen {
        Listen::Address { address, .. } => (address.is_ipv4(), Some(address)),
        Listen::Fwmark { family, .. } => (family == Family::Ipv4, None),
    };
    if is_ipv4 != address.is_ipv4() && !matches!(forwarding, Forwarding::Tunnel(_)) {
        let taken = match listen {
            Listen::Address { address, .. } => address.to_string(),
            Listen::Fwmark { mark, .. } => {
                format!("fwmark {mark} of {}", if is_ipv4 { "ipv4" } else { "ipv6" })
            }
        };
        return Some(format!(
            "is of another address family than {taken}, and only forwarding \"tunnel\" leads there"
        ));
    }
    let own = own.filter(|own| own.port() != address.port())?;
    let why = match forwarding {
        _ if own.port() == 0 => "where all ports are taken in, none is rewritten",
        Forwarding::Nat => return None,
        Forwarding::Direct => "forwarding \"direct\" does not rewrite ports",
        Forwarding::Tunnel(_) => "forwarding \"tunnel\" does not rewrite ports",
    };
    Some(format!("needs port {} as {own} has it: {why}", own.port()))
}

/// A check of a real server with port 0 has to know another.
pub(super) fn checked_ports(table: &Table<'_>, pool: &[At<RealServer>], checks: &[Check]) {
    let unsure = |check: &&Check| check.port.is_none() && check.connect_to.is_none() && check.spec.has_port();
    let check = checks.iter().find(unsure);
    let real_server = pool.iter().find(|it| it.value.address.port() == 0);
    if let (true, Some(check), Some(At { value, place })) = (table.whole(), check, real_server) {
        table.note(
            *place,
            format!(
                "real server {} has no port of its own: the check \"{}\" needs `port` or `connect_to`",
                value.address, check.name
            ),
        );
    }
}

/// The quorum can be gained: keepalived's W ≥ Q + H with every server healthy.
pub(super) fn quorum(
    table: &Table<'_>,
    pool: &[At<RealServer>],
    quorum: Option<&At<u32>>,
    hysteresis: Option<&At<u32>>,
    sorry_server: bool,
) {
    if !table.whole() {
        return;
    }
    if pool.is_empty() {
        if !sorry_server {
            table.note(table.place, "[[virtual_server]] needs a real server or a sorry server");
        }
        return;
    }
    let (q, h) = (quorum.map_or(1, |it| it.value), hysteresis.map_or(0, |it| it.value));
    let sum: u64 = pool.iter().map(|server| u64::from(server.value.weight)).sum();
    if u64::from(q) + u64::from(h) > sum {
        table.note(
            quorum.or(hysteresis).map_or(table.place, |it| it.place),
            format!(
                "quorum {q} + hysteresis {h} is more than {sum}, the sum of the weights of the pool: it could never \
                 be gained"
            ),
        );
    }
}

/// A virtual server's name is its key.
pub(super) fn names(notes: &Notes, names: &[At<Arc<str>>]) {
    let mut seen = BTreeSet::new();
    for At { value: name, place } in names {
        if !seen.insert(name) {
            notes.add(*place, format!("there is a virtual server named \"{name}\" already"));
        }
    }
}

/// What one virtual server takes in no other does, by itself or as a part: of all addresses, or of all ports.
pub(super) fn listens(notes: &Notes, listens: &[At<(Listen, DataplaneKind, Arc<str>)>]) {
    let mut seen: BTreeMap<Listen, &Arc<str>> = BTreeMap::new();
    let mut wildcards: BTreeMap<(Protocol, bool, u16), &Arc<str>> = BTreeMap::new();
    let mut all_ports: BTreeMap<(Protocol, IpAddr), &Arc<str>> = BTreeMap::new();
    for At { value: (listen, _, name), place } in listens {
        let before = seen.insert(*listen, name);
        match (listen, before) {
            (Listen::Address { address, .. }, Some(other)) => {
                notes.add(*place, format!("virtual server \"{other}\" listens on {address} already"));
            }
            (Listen::Fwmark { mark, .. }, Some(other)) => {
                notes.add(*place, format!("virtual server \"{other}\" has fwmark {mark} already"));
            }
            (Listen::Address { protocol, address }, None) if address.ip().is_unspecified() => {
                wildcards.insert((*protocol, address.is_ipv4(), address.port()), name);
            }
            (Listen::Address { protocol, address }, None) if address.port() == 0 => {
                all_ports.insert((*protocol, address.ip()), name);
            }
            _ => {}
        }
    }
    for At { value: (listen, dataplane, _), place } in listens {
        let Listen::Address { protocol, address } = listen else { continue };
        let wildcard = wildcards.get(&(*protocol, address.is_ipv4(), address.port()));
        if let Some(other) = wildcard.filter(|_| !address.ip().is_unspecified()) {
            let all: IpAddr =
                if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let all = SocketAddr::new(all, address.port());
            notes.add(
                *place,
                format!("{address} is part of {all}, on which virtual server \"{other}\" listens"),
            );
        }
        // Of two in IPVS the one with the port comes first; before the proxy comes IPVS.
        if *dataplane == DataplaneKind::Proxy
            && let Some(other) = all_ports.get(&(*protocol, address.ip()))
        {
            notes.add(
                *place,
                format!("{address} is part of all ports of this address, which virtual server \"{other}\" takes in"),
            );
        }
    }
}
