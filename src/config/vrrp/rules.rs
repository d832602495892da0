//! Rules over all virtual routers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::Context;
use crate::config::model::VirtualRouter;
use crate::config::place::{At, Notes};

/// To be called once all virtual routers and virtual servers are known.
pub(in crate::config) fn check(notes: &Notes, routers: &[At<VirtualRouter>], context: &Context) {
    unique(notes, routers);
    groups(notes, routers);
    let servers: BTreeSet<&Arc<str>> = context.names.iter().map(|it| &it.value).collect();
    for At { value: name, place } in &context.tracked_virtual_servers {
        if !servers.contains(name) {
            notes.add(*place, format!("there is no virtual server named \"{name}\""));
        }
    }
    for At { value: name, place } in &context.followed {
        if !routers.iter().any(|it| it.value.router.name == *name) {
            notes.add(*place, format!("there is no [[vrrp]] named \"{name}\""));
        }
    }
}

/// A name is a key, and so is what adverts are told apart by. An address belongs to one router.
fn unique(notes: &Notes, routers: &[At<VirtualRouter>]) {
    let (mut names, mut ids, mut addresses) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for At { value: VirtualRouter { router, holding, .. }, place } in routers {
        if !names.insert(&router.name) {
            notes.add(*place, format!("there is a virtual router named \"{}\" already", router.name));
        }
        if !ids.insert((&router.interface, router.family, router.router_id)) {
            notes.add(
                *place,
                format!("router_id {} is used on {} already", router.router_id, router.interface),
            );
        }
        for held in &holding.addresses {
            if !addresses.insert(held.address) {
                notes.add(*place, format!("{} is held twice", held.address));
            }
        }
    }
}

fn groups(notes: &Notes, routers: &[At<VirtualRouter>]) {
    let mut priorities: BTreeMap<&Arc<str>, u8> = BTreeMap::new();
    for At { value: VirtualRouter { router, .. }, place } in routers {
        let Some(group) = &router.group else { continue };
        if routers.iter().any(|it| it.value.router.name == *group) {
            notes.add(*place, format!("\"{group}\" is the name of a group and of a virtual router"));
        }
        let first = *priorities.entry(group).or_insert(router.priority);
        if first != router.priority {
            notes.add(
                *place,
                format!(
                    "the routers of group \"{group}\" move together and so have one priority, {first} or {}",
                    router.priority
                ),
            );
        }
    }
}
