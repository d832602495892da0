//! The adapter to the software dataplane: translates, and remembers what it has published.

use std::sync::Arc;

use tidegate_proxy as proxy;

use super::plan;
use super::table::{Service, ServiceKey, Table};
use super::{Change, Counters, Dataplane, DestinationCounters, Error, Limits, ServiceCounters};
use crate::config;

/// The proxy as a [`Dataplane`].
pub struct ProxyDataplane {
    proxy: proxy::Proxy,
    held: Table,
    // The same services in the proxy's terms; a service that is not changed keeps its `Arc` there, too.
    published: proxy::Table,
}

impl ProxyDataplane {
    /// Takes over a proxy that serves nothing yet.
    pub fn new(proxy: proxy::Proxy) -> Self {
        Self { proxy, held: Table::new(), published: proxy::Table::default() }
    }
}

impl Dataplane for ProxyDataplane {
    fn observe(&mut self) -> Result<Table, Error> {
        Ok(self.held.clone())
    }

    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), Error>> {
        let mut wanted = self.held.clone();
        for change in changes {
            plan::apply(&mut wanted, change);
        }
        let table = self.translate(&wanted);
        let failures = self.proxy.publish(table.clone());
        self.published = table;
        self.held = wanted;
        for (key, _) in &failures {
            // Not served: the next round finds it missing and tries again.
            self.held.remove(&key_from_proxy(*key));
            self.published.services.retain(|service| service.key != *key);
        }
        let failure = |key: ServiceKey| failures.iter().find(|(failed, _)| key_from_proxy(*failed) == key);
        changes
            .iter()
            .map(|change| match failure(change.key()) {
                Some((_, error)) => Err(Error(error.to_string())),
                None => Ok(()),
            })
            .collect()
    }

    fn counters(&mut self) -> Counters {
        let counters = self.proxy.counters();
        let limits = self.proxy.limits();
        Counters {
            services: counters
                .services
                .iter()
                .map(|(key, it)| (key_from_proxy(*key), (*it).into()))
                .collect(),
            destinations: counters.destinations.into_iter().map(|(key, it)| (key, it.into())).collect(),
            limits: Limits {
                active: limits.open,
                connections: limits.max_connections,
                descriptors: limits.descriptors,
            },
        }
    }

    fn stop_accepting(&mut self) {
        self.proxy.stop_accepting();
    }

    fn active(&mut self) -> u64 {
        self.proxy.active()
    }

    fn is_whole(&self) -> bool {
        self.proxy.healthy()
    }
}

impl ProxyDataplane {
    fn translate(&self, wanted: &Table) -> proxy::Table {
        let unchanged = |key: &ServiceKey, service: &Arc<Service>| {
            let held = self.held.get(key)?;
            if !Arc::ptr_eq(held, service) {
                return None;
            }
            let key = key_to_proxy(*key);
            let at = self.published.services.binary_search_by_key(&key, |it| it.key).ok()?;
            Some(Arc::clone(&self.published.services[at]))
        };
        let services = wanted
            .iter()
            .map(|(key, service)| {
                unchanged(key, service).unwrap_or_else(|| Arc::new(service_to_proxy(*key, service)))
            })
            .collect();
        proxy::Table { services }
    }
}

fn service_to_proxy(key: ServiceKey, service: &Service) -> proxy::Service {
    let attributes = &service.attributes;
    proxy::Service {
        key: key_to_proxy(key),
        group: Arc::clone(&attributes.group),
        scheduler: match attributes.scheduler {
            config::Scheduler::RoundRobin => proxy::Scheduler::RoundRobin,
            config::Scheduler::WeightedRoundRobin => proxy::Scheduler::WeightedRoundRobin,
            config::Scheduler::LeastConnection => proxy::Scheduler::LeastConnection,
            config::Scheduler::WeightedLeastConnection => proxy::Scheduler::WeightedLeastConnection,
            config::Scheduler::SourceHash => proxy::Scheduler::SourceHash,
            config::Scheduler::Maglev => proxy::Scheduler::Maglev,
        },
        scheduler_flags: proxy::SchedulerFlags {
            fallback: attributes.scheduler_flags.fallback,
            port: attributes.scheduler_flags.port,
        },
        persistence: attributes.persistence.map(|it| proxy::Persistence {
            timeout: it.timeout,
            prefix_v4: it.prefix_v4,
            prefix_v6: it.prefix_v6,
        }),
        connect_timeout: attributes.connect_timeout,
        idle_timeout: attributes.idle_timeout,
        proxy_protocol: attributes.proxy_protocol.map(|it| match it {
            config::ProxyProtocol::V1 => proxy::ProxyProtocol::V1,
            config::ProxyProtocol::V2 => proxy::ProxyProtocol::V2,
        }),
        on_down: match attributes.on_down {
            config::OnDown::Keep => proxy::OnDown::Keep,
            config::OnDown::Reset => proxy::OnDown::Reset,
        },
        destinations: service
            .destinations
            .iter()
            .map(|(address, it)| proxy::Destination {
                address: *address,
                weight: it.weight,
                max_connections: it.max_connections,
                alive: it.alive,
            })
            .collect(),
    }
}

fn key_to_proxy(key: ServiceKey) -> proxy::ServiceKey {
    let protocol = match key.protocol {
        config::Protocol::Tcp => proxy::Protocol::Tcp,
        config::Protocol::Udp => proxy::Protocol::Udp,
    };
    proxy::ServiceKey { protocol, listen: key.address }
}

fn key_from_proxy(key: proxy::ServiceKey) -> ServiceKey {
    let protocol = match key.protocol {
        proxy::Protocol::Tcp => config::Protocol::Tcp,
        proxy::Protocol::Udp => config::Protocol::Udp,
    };
    ServiceKey { protocol, address: key.listen }
}

impl From<proxy::ServiceCounters> for ServiceCounters {
    fn from(it: proxy::ServiceCounters) -> Self {
        Self { accepted: it.accepted, no_destination: it.no_destination, over_limit: it.over_limit }
    }
}

impl From<proxy::DestinationCounters> for DestinationCounters {
    fn from(it: proxy::DestinationCounters) -> Self {
        Self {
            active: it.active,
            connections: it.connections,
            connect_failures: it.connect_failures,
            bytes_in: it.bytes_in,
            bytes_out: it.bytes_out,
        }
    }
}
