//! From a virtual server and the engine's decision to the services that a dataplane should hold. Pure.

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_engine::{self as engine, Desired, Mode, Role};

use super::table::{Attributes, Destination, Service, ServiceKey};
use crate::config::{Dataplane, DataplaneKind, IpvsOnDown, VirtualServer};

/// The services of one virtual server: one for each of its addresses.
pub fn services(
    configured: &VirtualServer,
    desired: &Desired,
) -> impl Iterator<Item = (ServiceKey, Arc<Service>)> + use<> {
    let pool = desired.destinations.iter().filter(|it| it.alive || keeps_the_dead(configured));
    let service = Arc::new(Service {
        attributes: Attributes {
            group: Arc::clone(&configured.name),
            scheduler: configured.scheduler,
            scheduler_flags: configured.scheduler_flags,
            persistence: configured.persistence,
            dataplane: configured.dataplane.clone(),
            overload: configured.overload,
            overflow: overflow(configured),
        },
        destinations: pool.map(|it| (it.address, destination(configured, it))).collect(),
    });
    configured.listen.clone().into_iter().map(move |key| (key, Arc::clone(&service)))
}

/// A dead server's place is kept with weight 0, so that its connections go on, unless the operator wants it removed.
fn keeps_the_dead(configured: &VirtualServer) -> bool {
    match &configured.dataplane {
        Dataplane::Proxy(_) => true,
        Dataplane::Ipvs(options) => options.on_down == IpvsOnDown::Quiesce,
    }
}

/// Who takes what the pool has no room for, before it is turned away.
fn overflow(configured: &VirtualServer) -> Option<SocketAddr> {
    let takes = configured.dataplane.kind() == DataplaneKind::Proxy && configured.overload == Mode::Protect;
    configured.sorry_server.as_ref().filter(|_| takes).map(|it| it.address)
}

fn destination(configured: &VirtualServer, decided: &engine::Destination) -> Destination {
    let engine::Destination { weight, alive, decided: is_decided, .. } = *decided;
    let mut destination = Destination { alive, decided: is_decided, ..Destination::new(weight) };
    let position = configured.real_servers.binary_search_by_key(&decided.address, |it| it.address);
    match (decided.role, position) {
        (Role::RealServer, Ok(at)) => {
            let server = &configured.real_servers[at];
            destination.max_connections = decided.cap.unwrap_or(0);
            destination.resume_below = server.resume_below;
            destination.forwarding = server.forwarding;
        }
        _ => {
            if let Some(sorry_server) = &configured.sorry_server {
                destination.forwarding = sorry_server.forwarding;
            }
        }
    }
    destination
}
