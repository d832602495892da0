//! Rules over several values.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::model::{Protocol, RealServer};
use super::place::{At, Notes};
use super::reader::Table;

/// A real server stands once in a pool, the sorry server not at all, and none of them is the virtual server itself.
pub(super) fn pool(
    table: &Table<'_>,
    pool: &[At<RealServer>],
    listen: &[At<SocketAddr>],
    sorry_server: Option<&At<SocketAddr>>,
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
    if let Some(At { value: sorry, place }) = sorry_server {
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

fn leads_back(listen: &[At<SocketAddr>], address: SocketAddr) -> bool {
    listen.iter().any(|it| {
        let wildcard = it.value.ip().is_unspecified()
            && address.ip().is_loopback()
            && it.value.port() == address.port()
            && it.value.is_ipv4() == address.is_ipv4();
        it.value == address || wildcard
    })
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

/// An address is listened on once, by itself or as one of all addresses.
pub(super) fn listens(notes: &Notes, listens: &[At<(Protocol, SocketAddr, Arc<str>)>]) {
    let mut seen: BTreeMap<(Protocol, SocketAddr), &Arc<str>> = BTreeMap::new();
    let mut wildcards: BTreeMap<(Protocol, bool, u16), &Arc<str>> = BTreeMap::new();
    for At { value: (protocol, address, name), place } in listens {
        if let Some(other) = seen.insert((*protocol, *address), name) {
            notes.add(*place, format!("virtual server \"{other}\" listens on {address} already"));
        } else if address.ip().is_unspecified() {
            wildcards.insert((*protocol, address.is_ipv4(), address.port()), name);
        }
    }
    for At { value: (protocol, address, _), place } in listens {
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
    }
}
