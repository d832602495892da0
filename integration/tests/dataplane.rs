//! What every dataplane must do, shown by traffic. A further dataplane is a further test that calls `conforms`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tidegate::config::{
    self, IpvsOnDown, IpvsOptions, OnDown, OnStop, Protocol, ProxyOptions, Scheduler, SchedulerFlags,
};
use tidegate::dataplane::{
    Attributes, Change, Counters, Dataplane, Destination, IpvsDataplane, Observed, ProxyDataplane, Service,
    ServiceKey, Table, plan,
};
use tidegate_integration::clock::wait_for;
use tidegate_integration::lab::{self, ipvsadm_save};
use tidegate_integration::sockets::{free_port, serve};

const PATIENCE: Duration = Duration::from_secs(10);

/// A real server that tells each client its own address.
fn server() -> SocketAddr {
    serve(|mut stream| {
        let own = stream.local_addr().unwrap().to_string();
        let _client_left = stream.write_all(own.as_bytes());
    })
}

fn ask(listen: SocketAddr) -> Option<SocketAddr> {
    let mut stream = TcpStream::connect(listen).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.parse().ok()
}

fn pool(options: &config::Dataplane, servers: &[(SocketAddr, u32)]) -> Arc<Service> {
    let destination = |weight| Destination::new(weight);
    Arc::new(Service {
        attributes: Attributes {
            group: "web".into(),
            scheduler: Scheduler::RoundRobin,
            scheduler_flags: SchedulerFlags::default(),
            persistence: None,
            dataplane: options.clone(),
            overload: tidegate_engine::Mode::Off,
            overflow: None,
        },
        destinations: servers.iter().map(|(address, weight)| (*address, destination(*weight))).collect(),
    })
}

fn tcp(address: SocketAddr) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address }
}

/// What a look at everything finds to change, made piece by piece.
fn look(dataplane: &mut dyn Dataplane, desired: &Table) -> Vec<Change> {
    let mut changes = Vec::new();
    loop {
        let Observed { table, is_last } = dataplane.observe(desired).unwrap();
        let found = plan(desired, &table);
        assert!(dataplane.apply(&found).into_iter().all(|result| result.is_ok()));
        changes.extend(found);
        if is_last {
            return changes;
        }
    }
}

/// What the reconcile loop does.
fn reconcile(dataplane: &mut dyn Dataplane, desired: &Table) {
    let changes = look(dataplane, desired);
    assert_eq!(look(dataplane, desired), []);
    assert_eq!(dataplane.observe_changed(desired).unwrap(), *desired);
    for result in dataplane.apply(&changes) {
        result.expect("changes that are already made are no error");
    }
    assert_eq!(look(dataplane, desired), []);
}

fn counters(dataplane: &mut dyn Dataplane) -> Counters {
    loop {
        if let Poll::Ready(counters) = dataplane.counters() {
            return counters.unwrap();
        }
    }
}

fn who_answers(listen: SocketAddr) -> BTreeSet<SocketAddr> {
    (0..20).map(|_| ask(listen).expect("an answer")).collect()
}

fn conforms(dataplane: &mut dyn Dataplane, options: &config::Dataplane) {
    let service = |servers: &[(SocketAddr, u32)]| pool(options, servers);
    let (one, two, three) = (server(), server(), server());
    let (web, other) = (free_port(), free_port());

    let mut desired = Table::from([(tcp(web), service(&[(one, 1), (two, 1)]))]);
    reconcile(dataplane, &desired);
    assert_eq!(who_answers(web), BTreeSet::from([one, two]));

    // Weight 0 gets nothing new, a newcomer does.
    desired.insert(tcp(web), service(&[(one, 0), (two, 1), (three, 1)]));
    desired.insert(tcp(other), service(&[(one, 5)]));
    reconcile(dataplane, &desired);
    wait_for("the change to reach every thread", PATIENCE, || {
        (who_answers(web) == BTreeSet::from([two, three])).then_some(())
    });
    assert_eq!(who_answers(other), BTreeSet::from([one]));

    desired.insert(tcp(web), service(&[(three, 1)]));
    let mut lists = Service::clone(&desired[&tcp(other)]);
    lists.attributes.scheduler = Scheduler::WeightedLeastConnection;
    lists.attributes.group = "other".into();
    desired.insert(tcp(other), Arc::new(lists));
    reconcile(dataplane, &desired);
    wait_for("the removal to reach every thread", PATIENCE, || {
        (who_answers(web) == BTreeSet::from([three])).then_some(())
    });

    // A kernel sums up every two seconds.
    wait_for("the counters", PATIENCE, || {
        let counters = counters(dataplane);
        let by_server: BTreeMap<_, _> =
            counters.destinations.iter().map(|(key, it)| (key.1, it.connections)).collect();
        (counters.services[&tcp(web)].accepted >= 60 && by_server[&three] >= 20).then_some(())
    });

    desired.remove(&tcp(web));
    reconcile(dataplane, &desired);
    wait_for("the service to be gone", PATIENCE, || ask(web).is_none().then_some(()));
    assert_eq!(who_answers(other), BTreeSet::from([one]));

    dataplane.stop_accepting();
    wait_for("no connection to be taken", PATIENCE, || ask(other).is_none().then_some(()));
    wait_for("the last connection to end", PATIENCE, || (dataplane.active() == Some(0)).then_some(()));
}

#[test]
fn the_proxy_conforms() {
    let proxy = tidegate_proxy::Proxy::start(tidegate_proxy::Settings::default()).unwrap();
    let options = config::Dataplane::Proxy(ProxyOptions {
        on_down: OnDown::Keep,
        connect_timeout: Duration::from_secs(3),
        idle_timeout: Duration::from_secs(60),
        proxy_protocol: None,
    });
    conforms(&mut ProxyDataplane::new(proxy), &options);
}

#[test]
fn ipvs_conforms() {
    lab::run(|| {
        let options = config::Dataplane::Ipvs(IpvsOptions {
            one_packet: false,
            persistence_engine: None,
            on_down: IpvsOnDown::Quiesce,
            // With `keep` the kernel goes on taking connections.
            on_stop: OnStop::Clear,
        });
        let mut ipvs = IpvsDataplane::default();
        conforms(&mut ipvs, &options);
        assert_eq!(ipvsadm_save().len(), 2, "what is stopped is there until the end");
        drop(ipvs);
        assert_eq!(ipvsadm_save(), [""; 0]);
    });
}
