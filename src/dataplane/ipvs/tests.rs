//! What is observed and planned against a kernel's table, with requests carried out as the kernel would.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::super::{Attributes, plan};
use super::*;
use crate::config::{Dataplane, IpvsOnDown, IpvsOptions, Listen, Protocol, Scheduler, SchedulerFlags};

mod traffic;

type Weights = BTreeMap<SocketAddr, u32>;

fn address(last: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), 80))
}

fn key() -> ServiceKey {
    Listen::Address { protocol: Protocol::Tcp, address: address(100) }
}

fn service(destinations: BTreeMap<SocketAddr, Destination>) -> Arc<Service> {
    let options = IpvsOptions {
        one_packet: false,
        persistence_engine: None,
        on_down: IpvsOnDown::Quiesce,
        on_stop: OnStop::Keep,
    };
    let attributes = Attributes {
        group: "web".into(),
        scheduler: Scheduler::RoundRobin,
        scheduler_flags: SchedulerFlags::default(),
        persistence: None,
        dataplane: Dataplane::Ipvs(options),
        overload: tidegate_engine::Mode::Off,
        overflow: None,
    };
    Arc::new(Service { attributes, destinations })
}

/// A kernel's table after some changes.
fn after(mut kernel: ipvs::table::Table, changes: &[Change]) -> ipvs::table::Table {
    let ours = Table::from([(key(), service(BTreeMap::new()))]);
    let requests = |change| requests(change, &ours, &Regulator::default()).unwrap();
    for request in changes.iter().flat_map(requests) {
        match request {
            Request::PutService(key, service) => {
                let new = ServiceEntry {
                    service: service.clone(),
                    stats: Default::default(),
                    destinations: BTreeMap::new(),
                };
                kernel.entry(key).or_insert(new).service = service;
            }
            Request::RemoveService(key) => drop(kernel.remove(&key)),
            Request::PutDestination(key, address, destination) => {
                let stats = Default::default();
                let new = DestinationEntry { destination, active: 0, inactive: 0, persistent: 0, stats };
                kernel.get_mut(&key).unwrap().destinations.insert(address, new);
            }
            Request::SetDestination(..) => panic!("no change of the table is made so"),
            Request::RemoveDestination(key, address) => {
                kernel.get_mut(&key).unwrap().destinations.remove(&address);
            }
        }
    }
    kernel
}

fn weights(kernel: &ipvs::table::Table) -> Option<Weights> {
    let entry = kernel.get(&translate::key(&key()).unwrap())?;
    Some(entry.destinations.iter().map(|(address, it)| (*address, it.destination.weight)).collect())
}

fn seen(kernel: &ipvs::table::Table, desired: &Table) -> Table {
    let entry = kernel.get(&translate::key(&key()).unwrap());
    entry.map(|entry| (key(), observed(&key(), &desired[&key()], entry))).into_iter().collect()
}

prop_compose! {
    /// As the engine decides: an unknown server waits with weight 0, a sorry server with 1.
    fn desired()(
        pool in prop::collection::btree_map((0_u8..6).prop_map(address), (0_u32..3, any::<bool>()), 0..6),
        sorry in prop::option::of(any::<bool>()),
    ) -> BTreeMap<SocketAddr, Destination> {
        let server = |(address, (weight, decided))| {
            (address, Destination { decided, ..Destination::new(if decided { weight } else { 0 }) })
        };
        let sorry = sorry.map(|decided| (address(9), Destination { decided, ..Destination::new(1) }));
        pool.into_iter().map(server).chain(sorry).collect()
    }
}

proptest! {
    #[test]
    fn what_is_decided_is_put_into_force_and_what_is_not_is_left(
        wanted in desired(),
        left in prop::option::of(prop::collection::btree_map(
            prop_oneof![0_u8..8, Just(9)].prop_map(address), 0_u32..3, 0..8,
        )),
    ) {
        let desired = Table::from([(key(), service(wanted.clone()))]);
        let predecessor = left.clone().map(|left| {
            let destinations = left.into_iter().map(|(address, weight)| (address, Destination::new(weight)));
            Change::AddService(key(), service(destinations.collect()))
        });
        let kernel = after(BTreeMap::new(), predecessor.as_slice());

        let changes = plan(&desired, &seen(&kernel, &desired));

        for made in 0..=changes.len() {
            let between = weights(&after(kernel.clone(), &changes[..made])).unwrap_or_default();
            let waiting = wanted.iter().filter(|(_, it)| !it.decided).map(|(address, _)| address);
            for (address, weight) in waiting.filter_map(|it| Some((it, left.as_ref()?.get(it)?))) {
                prop_assert_eq!(between.get(address), Some(weight));
            }
        }
        let weight_left = |address| left.as_ref().and_then(|left| left.get(address)).copied();
        let holds_on = wanted.iter().any(|(address, it)| !it.decided && weight_left(address) > Some(0));
        let in_force = |(address, it): (&SocketAddr, &Destination)| match &left {
            Some(left) if !it.decided => match left.get(address) {
                Some(weight) => Some((*address, *weight)),
                None => (it.weight == 0 || !holds_on).then_some((*address, it.weight)),
            },
            _ => Some((*address, it.weight)),
        };
        let kernel = after(kernel, &changes);
        prop_assert_eq!(weights(&kernel), Some(wanted.iter().filter_map(in_force).collect()));
        prop_assert_eq!(plan(&desired, &seen(&kernel, &desired)), Vec::new());
    }
}
