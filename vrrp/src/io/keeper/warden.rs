//! Keeps a guard informed, and a guard there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::kernel::Kernel;
use super::ledger::Ledger;
use super::refusal;
use super::report::{Report, Reports};
use crate::config::{Config, Family, Peers, Router};
use crate::io::guard::{Guard, Plan, Program, Resignation};
use crate::io::links::Interface;
use crate::io::socket;
use crate::packet::{self, Advert};

/// Between two attempts to start a guard.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Warden {
    program: Option<Program>,
    reports: Reports,
    guard: Option<Guard>,
    /// When a guard was last started.
    started: Option<Instant>,
    /// It was said that there is none.
    lamented: bool,
    routers: BTreeMap<Arc<str>, Arc<Router>>,
    /// What the guard knows.
    plans: BTreeMap<Arc<str>, Plan>,
}

impl Warden {
    pub(super) fn new(program: Option<Program>, reports: Reports) -> Self {
        let (routers, plans) = (BTreeMap::new(), BTreeMap::new());
        Self { program, reports, guard: None, started: None, lamented: false, routers, plans }
    }

    pub(super) fn configure(&mut self, config: &Config) {
        self.routers =
            config.routers.iter().map(|router| (Arc::clone(&router.name), Arc::clone(router))).collect();
    }

    pub(super) fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }

    /// Starts a guard where there is none any more and tells it everything; when to look again.
    pub(super) fn tend(&mut self, now: Instant, ledger: &Ledger, kernel: &Kernel) -> Option<Instant> {
        if self.guard.as_ref().is_some_and(Guard::has_ended) {
            self.lose("it has died");
        }
        let program = self.program.as_ref()?;
        if self.guard.is_some() {
            return None;
        }
        if let Some(again) = self.started.map(|started| started + PAUSE).filter(|again| *again > now) {
            return Some(again);
        }
        self.started = Some(now);
        match Guard::spawn(program) {
            Ok(guard) => self.guard = Some(guard),
            Err(error) => self.lose(&format!("{} cannot be started: {error}", program.path.display())),
        }
        self.tell_all(ledger, kernel);
        if self.guard.is_none() {
            return Some(now + PAUSE);
        }
        if std::mem::take(&mut self.lamented) {
            self.reports.send(Report::Guarded);
        }
        None
    }

    /// Tells the guard of all routers, also of those that are there no more.
    pub(super) fn tell_all(&mut self, ledger: &Ledger, kernel: &Kernel) {
        let routers = ledger.routers().map(|(router, _)| router).chain(self.plans.keys()).cloned();
        self.tell(&routers.collect(), ledger, kernel);
    }

    /// Tells the guard what there is of these routers now.
    pub(super) fn tell(&mut self, routers: &BTreeSet<Arc<str>>, ledger: &Ledger, kernel: &Kernel) {
        let mut sources = Sources { ledger, kernel, known: BTreeMap::new() };
        for router in routers {
            let Some(guard) = &self.guard else { return };
            let plan = self.plan(router, &mut sources);
            if self.plans.get(router) == plan.as_ref() {
                continue;
            }
            let told = match plan {
                Some(plan) => {
                    let told = guard.put(router, &plan);
                    self.plans.insert(Arc::clone(router), plan);
                    told
                }
                None => {
                    self.plans.remove(router);
                    guard.forget(router)
                }
            };
            if let Err(error) = told {
                self.lose(&format!("it takes no message: {error}"));
            }
        }
    }

    /// Nothing is held any more.
    pub(super) fn dismiss(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.dismiss();
        }
    }

    /// Leaves to the guard what is held; whether there is one.
    pub(super) fn abandon(&mut self) -> bool {
        self.guard.take().is_some_and(|guard| !guard.has_ended())
    }

    fn lose(&mut self, why: &str) {
        if let Some(guard) = self.guard.take() {
            guard.kill();
        }
        self.plans.clear();
        if !std::mem::replace(&mut self.lamented, true) {
            self.reports.send(Report::Unguarded { why: why.to_owned() });
        }
    }

    /// None: nothing is to be done.
    fn plan(&self, router: &str, sources: &mut Sources<'_>) -> Option<Plan> {
        let Sources { ledger, kernel, .. } = *sources;
        let held = ledger.held(router);
        let holding = held.or_else(|| ledger.configured(router))?;
        let active = self.routers.get(router).filter(|_| held.is_some());
        let plan = Plan {
            resignations: active.map(|router| resignations(router, sources)).unwrap_or_default(),
            requests: kernel.farewell(holding, held.is_some()),
            netfilter: if holding.accept { Vec::new() } else { refusal::removal() },
        };
        (plan != Plan::default()).then_some(plan)
    }
}

/// The host's own addresses on links, each link's looked for once.
struct Sources<'a> {
    ledger: &'a Ledger,
    kernel: &'a Kernel,
    known: BTreeMap<u32, Vec<IpAddr>>,
}

impl Sources<'_> {
    fn of(&mut self, link: &Interface) -> &[IpAddr] {
        let look = || link.sources(|address| self.ledger.find(&link.name, address).is_some());
        self.known.entry(link.index).or_insert_with(look)
    }
}

/// The router's last advert, to each of its peers. Without an address to send it from there is none.
fn resignations(router: &Router, sources: &mut Sources<'_>) -> Vec<Resignation> {
    let Some(link) = sources.kernel.links.named(&router.interface) else { return Vec::new() };
    let ipv6 = router.family == Family::Ipv6;
    let own = || sources.of(link).iter().copied().find(|source| source.is_ipv6() == ipv6);
    let Some(source) = router.source.or_else(own) else { return Vec::new() };
    let advert = Advert {
        version: router.version,
        router_id: router.router_id,
        priority: 0,
        interval: router.interval,
        addresses: Arc::clone(&router.addresses),
        authentication: router.authentication,
    };
    let destinations = match &router.peers {
        Peers::Multicast => vec![socket::group(router.family)],
        Peers::Unicast { peers, .. } => peers.to_vec(),
    };
    let resignation = |destination| {
        let mut message = Vec::new();
        packet::encode(&advert, router.checksum, source, destination, &mut message);
        Resignation { index: link.index, source, destination, message }
    };
    destinations.into_iter().map(resignation).collect()
}
