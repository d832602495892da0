//! One service as the threads use it: compiled at publish, immutable, shared.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::cells::PerThread;
use crate::clock::Millis;
use crate::persistence::Templates;
use crate::scheduler::{Candidates, Cursor, Plan};
use crate::slots::{Reservation, ServiceCells, Slot, Slots};
use crate::{Persistence, Service};

/// Destinations tried for one connection or datagram, so that a large dead pool costs no more than a moment.
const ATTEMPTS: usize = 32;

#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) service: Arc<Service>,
    pub(crate) cells: Arc<PerThread<ServiceCells>>,
    /// The same as long as the schedule is.
    plan: Arc<Plan>,
    /// In the order of the service's destinations.
    slots: Vec<Arc<Slot>>,
    overflow: Option<Arc<Slot>>,
    templates: Option<Arc<Templates>>,
}

impl Pool {
    /// `before`: the same service in the table before. If nothing has changed it is used on.
    pub(crate) fn compile(
        service: &Arc<Service>,
        before: Option<&Arc<Pool>>,
        slots: &mut Slots,
    ) -> Arc<Pool> {
        if let Some(before) = before
            && (Arc::ptr_eq(&before.service, service) || before.service == *service)
        {
            return Arc::clone(before);
        }
        let destinations = &service.destinations;
        Arc::new(Pool {
            service: Arc::clone(service),
            cells: slots.service(service.key),
            plan: plan(service, before),
            slots: destinations.iter().map(|one| slots.destination(&service.group, one.address)).collect(),
            overflow: service.overflow.map(|address| slots.destination(&service.group, address)),
            templates: service.persistence.map(|settings| templates(settings, before)),
        })
    }

    /// Chooses a destination for a connection of `client` and takes a place there. `tried` have failed this
    /// connection already; nobody is left when they are too many.
    pub(crate) fn choose(
        &self,
        cursor: &mut Cursor,
        client: SocketAddr,
        tried: &[SocketAddr],
        now: Millis,
    ) -> Option<Reservation> {
        if tried.len() >= ATTEMPTS {
            return None;
        }
        self.choose_member(cursor, client, tried, now).or_else(|| self.overflow(tried))
    }

    /// Whether connections are spread as by the other: their cursors go on.
    pub(crate) fn has_schedule_of(&self, other: &Pool) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan)
    }

    fn choose_member(
        &self,
        cursor: &mut Cursor,
        client: SocketAddr,
        tried: &[SocketAddr],
        now: Millis,
    ) -> Option<Reservation> {
        let view = View { pool: self, tried };
        let Some((settings, templates)) = self.service.persistence.zip(self.templates.as_deref()) else {
            return self.schedule(cursor, client, &view);
        };
        // A template whose destination is drained, dead or full is given up: a drain must end.
        let kept = templates
            .find(settings, client.ip(), now)
            .and_then(|address| self.index(address))
            .filter(|&index| view.usable(index))
            .and_then(|index| self.reserve(index));
        let chosen = kept.or_else(|| self.schedule(cursor, client, &view))?;
        templates.note(settings, client.ip(), chosen.slot().address, now);
        Some(chosen)
    }

    /// Whether there is a destination to turn to besides `current` and those that were tried.
    pub(crate) fn has_other(&self, tried: &[SocketAddr], current: SocketAddr) -> bool {
        let view = View { pool: self, tried };
        let other = |index: usize| self.service.destinations[index].address != current && view.usable(index);
        let overflows =
            self.service.overflow.is_some_and(|address| address != current && !tried.contains(&address));
        let any = || !self.plan.is_strict() && (0..view.count()).any(other);
        tried.len() + 1 < ATTEMPTS && (overflows || any())
    }

    fn schedule(&self, cursor: &mut Cursor, client: SocketAddr, view: &View<'_>) -> Option<Reservation> {
        // Another thread may take the last place between the choice and the reservation; then it is seen to
        // be full at the next look. The bound is against a race lost again and again.
        (0..=self.slots.len()).find_map(|_| {
            let index = self.plan.pick(cursor, view, client)?;
            self.reserve(index)
        })
    }

    fn overflow(&self, tried: &[SocketAddr]) -> Option<Reservation> {
        self.overflow.as_ref().filter(|slot| !tried.contains(&slot.address))?.reserve(0)
    }

    fn reserve(&self, index: usize) -> Option<Reservation> {
        self.slots[index].reserve(self.service.destinations[index].max_connections)
    }

    fn index(&self, address: SocketAddr) -> Option<usize> {
        self.service.destinations.binary_search_by_key(&address, |destination| destination.address).ok()
    }
}

/// One that depends on nothing but what stays need not be made anew: caps change every second.
fn plan(service: &Service, before: Option<&Arc<Pool>>) -> Arc<Plan> {
    let schedule =
        |it: &Service| it.destinations.iter().map(|one| (one.address, one.weight)).collect::<Vec<_>>();
    let same = |pool: &&Arc<Pool>| {
        let old = &pool.service;
        (old.scheduler, old.scheduler_flags) == (service.scheduler, service.scheduler_flags)
            && schedule(old) == schedule(service)
    };
    match before.filter(same) {
        Some(pool) => Arc::clone(&pool.plan),
        None => Arc::new(Plan::new(service.scheduler, service.scheduler_flags, &service.destinations)),
    }
}

/// A change of the networks' size makes the old templates meaningless; one of the timeout does not.
fn templates(settings: Persistence, before: Option<&Arc<Pool>>) -> Arc<Templates> {
    let same = |pool: &&Arc<Pool>| {
        pool.service
            .persistence
            .is_some_and(|old| (old.prefix_v4, old.prefix_v6) == (settings.prefix_v4, settings.prefix_v6))
    };
    let kept = before.filter(same).and_then(|pool| pool.templates.clone());
    kept.unwrap_or_else(|| Arc::new(Templates::new()))
}

struct View<'a> {
    pool: &'a Pool,
    tried: &'a [SocketAddr],
}

impl Candidates for View<'_> {
    fn count(&self) -> usize {
        self.pool.slots.len()
    }

    fn weight(&self, index: usize) -> u32 {
        self.pool.service.destinations[index].weight
    }

    fn active(&self, index: usize) -> u64 {
        self.pool.slots[index].active()
    }

    fn usable(&self, index: usize) -> bool {
        let destination = &self.pool.service.destinations[index];
        let room =
            destination.max_connections == 0 || self.active(index) < destination.max_connections.into();
        destination.alive && destination.weight > 0 && room && !self.tried.contains(&destination.address)
    }
}
