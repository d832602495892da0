use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{self, OnDown, Protocol, ProxyOptions, Scheduler, SchedulerFlags};

fn address(last: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), 80))
}

fn key(last: u8) -> ServiceKey {
    ServiceKey::Address {
        protocol: if last.is_multiple_of(2) { Protocol::Tcp } else { Protocol::Udp },
        address: address(last),
    }
}

prop_compose! {
    fn attributes()(round_robin in any::<bool>(), reset in any::<bool>()) -> Attributes {
        Attributes {
            group: "web".into(),
            scheduler: if round_robin { Scheduler::RoundRobin } else { Scheduler::Maglev },
            scheduler_flags: SchedulerFlags::default(),
            persistence: None,
            dataplane: config::Dataplane::Proxy(ProxyOptions {
                on_down: if reset { OnDown::Reset } else { OnDown::Keep },
                connect_timeout: Duration::from_secs(3),
                idle_timeout: Duration::from_secs(60),
                proxy_protocol: None,
            }),
            overload: tidegate_engine::Mode::Off,
            overflow: None,
        }
    }
}

prop_compose! {
    fn destination()(weight in 0_u32..3, max_connections in 0_u32..2, alive in any::<bool>()) -> Destination {
        Destination { max_connections, alive, ..Destination::new(weight) }
    }
}

prop_compose! {
    fn table()(services in prop::collection::btree_map(
        (0_u8..6).prop_map(key),
        (attributes(), prop::collection::btree_map((0_u8..5).prop_map(address), destination(), 0..5)),
        0..6,
    )) -> Table {
        services
            .into_iter()
            .map(|(key, (attributes, destinations))| (key, Arc::new(Service { attributes, destinations })))
            .collect()
    }
}

fn usable(table: &Table, key: &ServiceKey) -> bool {
    table.get(key).is_some_and(|service| service.destinations.values().any(|it| it.weight > 0))
}

proptest! {
    #[test]
    fn applying_the_plan_gives_what_is_desired(desired in table(), mut actual in table()) {
        for change in plan(&desired, &actual) {
            apply(&mut actual, &change);
        }
        prop_assert_eq!(actual, desired);
    }

    #[test]
    fn nothing_is_planned_between_equals(held in table()) {
        let rebuilt: Table =
            held.iter().map(|(key, service)| (*key, Arc::new(Service::clone(service)))).collect();
        prop_assert_eq!(plan(&rebuilt, &held), Vec::new());
    }

    #[test]
    fn no_prefix_leaves_a_service_without_a_usable_destination(desired in table(), mut actual in table()) {
        let before = actual.clone();
        for change in plan(&desired, &actual) {
            apply(&mut actual, &change);
            for key in desired.keys().filter(|key| usable(&before, key) && usable(&desired, key)) {
                prop_assert!(usable(&actual, key), "{key} was emptied by {change:?}");
            }
        }
    }
}

#[test]
fn what_adds_comes_before_what_takes_away() {
    let service = |destinations: &[(u8, u32)]| {
        let destinations: BTreeMap<_, _> =
            destinations.iter().map(|(last, weight)| (address(*last), Destination::new(*weight))).collect();
        let attributes = Attributes::plain();
        Table::from([(key(0), Arc::new(Service { attributes, destinations }))])
    };
    let put = |last: u8, weight: u32| Change::PutDestination(key(0), address(last), Destination::new(weight));

    let planned = plan(&service(&[(1, 0), (3, 5)]), &service(&[(1, 1), (2, 1)]));

    assert_eq!(planned, [put(3, 5), put(1, 0), Change::RemoveDestination(key(0), address(2))]);
}
