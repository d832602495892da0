//! From a virtual server and the engine's decision to the services that a dataplane should hold. Pure.

use std::sync::Arc;

use tidegate_engine::{Desired, Role};

use super::table::{Attributes, Destination, Service, ServiceKey};
use crate::config::VirtualServer;

/// The services of one virtual server: one for each of its addresses.
pub fn services(
    configured: &VirtualServer,
    desired: &Desired,
) -> impl Iterator<Item = (ServiceKey, Arc<Service>)> + use<> {
    let service = Arc::new(Service {
        attributes: attributes(configured),
        destinations: desired
            .destinations
            .iter()
            .map(|it| (it.address, destination(configured, it)))
            .collect(),
    });
    let protocol = configured.protocol;
    let listen = configured.listen.clone();
    listen.into_iter().map(move |address| (ServiceKey { protocol, address }, Arc::clone(&service)))
}

fn attributes(configured: &VirtualServer) -> Attributes {
    Attributes {
        group: Arc::clone(&configured.name),
        scheduler: configured.scheduler,
        scheduler_flags: configured.scheduler_flags,
        persistence: configured.persistence,
        connect_timeout: configured.connect_timeout,
        idle_timeout: configured.idle_timeout,
        proxy_protocol: configured.proxy_protocol,
        on_down: configured.on_down,
    }
}

fn destination(configured: &VirtualServer, decided: &tidegate_engine::Destination) -> Destination {
    let max_connections = match decided.role {
        Role::SorryServer => 0,
        Role::RealServer => configured
            .real_servers
            .binary_search_by_key(&decided.address, |it| it.address)
            .map_or(0, |at| configured.real_servers[at].max_connections),
    };
    Destination { weight: decided.weight, max_connections, alive: decided.alive }
}
