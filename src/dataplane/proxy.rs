//! The adapter to the software dataplane: translates, and remembers what it has published.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

use tidegate_proxy as proxy;

use super::plan;
use super::table::{Service, ServiceKey, Table};
use super::{Change, Counters, Dataplane, DestinationCounters, Error, Limits, Observed, ServiceCounters};
use crate::config::{self, Listen};

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
    fn observe(&mut self, _desired: &Table) -> Result<Observed, Error> {
        Ok(Observed { table: self.held.clone(), is_last: true })
    }

    fn observe_changed(&mut self, _desired: &Table) -> Result<Table, Error> {
        Ok(self.held.clone())
    }

    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), Error>> {
        let mut wanted = self.held.clone();
        for change in changes {
            plan::apply(&mut wanted, change);
        }
        let (table, mut failures) = self.translate(&wanted);
        let not_served = self.proxy.publish(table.clone()).into_iter();
        failures.extend(not_served.map(|(key, error)| (key_from_proxy(key), Error(error.to_string()))));
        self.published = table;
        self.held = wanted;
        for key in failures.keys() {
            // Not served: the next round finds it missing and tries again.
            self.held.remove(key);
            self.published.services.retain(|service| key_from_proxy(service.key) != *key);
        }
        changes.iter().map(|change| failures.get(&change.key()).cloned().map_or(Ok(()), Err)).collect()
    }

    fn counters(&mut self) -> Poll<Option<Counters>> {
        let counters = self.proxy.counters();
        let limits = self.proxy.limits();
        Poll::Ready(Some(Counters {
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
        }))
    }

    fn stop_accepting(&mut self) {
        self.proxy.stop_accepting();
    }

    fn active(&mut self) -> Option<u64> {
        Some(self.proxy.active())
    }

    fn is_whole(&self) -> bool {
        self.proxy.healthy()
    }
}

impl ProxyDataplane {
    /// The table in the proxy's terms, and what it has no terms for.
    fn translate(&self, wanted: &Table) -> (proxy::Table, BTreeMap<ServiceKey, Error>) {
        let (mut services, mut failures) = (Vec::new(), BTreeMap::new());
        for (key, service) in wanted {
            match self.unchanged(key, service).or_else(|| service_to_proxy(key, service).map(Arc::new)) {
                Some(service) => services.push(service),
                None => drop(failures.insert(*key, Error("the proxy cannot serve this".into()))),
            }
        }
        services.sort_by_key(|service| service.key);
        (proxy::Table { services }, failures)
    }

    fn unchanged(&self, key: &ServiceKey, service: &Arc<Service>) -> Option<Arc<proxy::Service>> {
        self.held.get(key).filter(|held| Arc::ptr_eq(held, service))?;
        let key = key_to_proxy(key)?;
        let at = self.published.services.binary_search_by_key(&key, |it| it.key).ok()?;
        Some(Arc::clone(&self.published.services[at]))
    }
}

/// None for what the configuration refuses to give to the proxy.
fn service_to_proxy(key: &ServiceKey, service: &Service) -> Option<proxy::Service> {
    let attributes = &service.attributes;
    let config::Dataplane::Proxy(options) = &attributes.dataplane else { return None };
    Some(proxy::Service {
        key: key_to_proxy(key)?,
        group: Arc::clone(&attributes.group),
        scheduler: match attributes.scheduler {
            config::Scheduler::RoundRobin => proxy::Scheduler::RoundRobin,
            config::Scheduler::WeightedRoundRobin => proxy::Scheduler::WeightedRoundRobin,
            config::Scheduler::LeastConnection => proxy::Scheduler::LeastConnection,
            config::Scheduler::WeightedLeastConnection => proxy::Scheduler::WeightedLeastConnection,
            config::Scheduler::SourceHash => proxy::Scheduler::SourceHash,
            config::Scheduler::Maglev => proxy::Scheduler::Maglev,
            _ => return None,
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
        connect_timeout: options.connect_timeout,
        idle_timeout: options.idle_timeout,
        proxy_protocol: options.proxy_protocol.map(|it| match it {
            config::ProxyProtocol::V1 => proxy::ProxyProtocol::V1,
            config::ProxyProtocol::V2 => proxy::ProxyProtocol::V2,
        }),
        on_down: match options.on_down {
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
        overflow: attributes.overflow,
    })
}

fn key_to_proxy(key: &ServiceKey) -> Option<proxy::ServiceKey> {
    let (protocol, listen) = match *key {
        Listen::Address { protocol: config::Protocol::Tcp, address } => (proxy::Protocol::Tcp, address),
        Listen::Address { protocol: config::Protocol::Udp, address } => (proxy::Protocol::Udp, address),
        Listen::Address { protocol: config::Protocol::Sctp, .. } | Listen::Fwmark { .. } => return None,
    };
    Some(proxy::ServiceKey { protocol, listen })
}

fn key_from_proxy(key: proxy::ServiceKey) -> ServiceKey {
    let protocol = match key.protocol {
        proxy::Protocol::Tcp => config::Protocol::Tcp,
        proxy::Protocol::Udp => config::Protocol::Udp,
    };
    Listen::Address { protocol, address: key.listen }
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
            begun: it.begun,
            connections: it.connections,
            connect_failures: it.connect_failures,
            bytes_in: it.bytes_in,
            bytes_out: it.bytes_out,
            answered: Some(it.bytes_out),
        }
    }
}
