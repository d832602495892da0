//! Does what the machine asks for, without waiting for any of it.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::lateness::Lateometer;
use super::outbox::{Errand, Outbox};
use super::ports::Ports;
use super::socket::group;
use super::{Event, Orders, clock};
use crate::Action;
use crate::config::{Peers, Router};
use crate::packet::{self, Advert};

/// Between two reports of late adverts.
const REPORT_LATE: Duration = Duration::from_secs(60);

/// Where actions go.
pub(super) struct Output {
    orders: Box<dyn Orders>,
    pub(super) outbox: Outbox,
    pub(super) lateness: Lateometer,
    late_reported: Option<Instant>,
    message: Vec<u8>,
    /// How many adverts of a router could not be sent there since one could.
    failed: BTreeMap<(Arc<str>, IpAddr), u64>,
}

impl Output {
    pub(super) fn new(now: Instant, orders: Box<dyn Orders>, outbox: Outbox) -> Self {
        Self {
            orders,
            outbox,
            lateness: Lateometer::new(now),
            late_reported: None,
            message: Vec::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Does these things in their order. Adverts among them were due then, if they were due at a time. Whether a
    /// router may have gone with that.
    pub(super) fn perform(&mut self, actions: Vec<Action>, ports: &Ports, due: Option<Instant>) -> bool {
        let mut released = false;
        for action in actions {
            match action {
                Action::Advertise { router, advert } => {
                    self.advertise(&router, &advert, ports);
                    if let Some(due) = due {
                        self.record_lateness(&router, due);
                    }
                }
                Action::Hold { router } => self.orders.hold(&router.name),
                Action::Announce { router } => self.orders.announce(&router.name),
                Action::Release { router } => {
                    self.orders.release(&router.name);
                    released = true;
                }
                Action::Changed(transition) => {
                    self.outbox.put(Errand::Tell(Event::Changed(transition)));
                }
            }
        }
        released
    }

    /// Forgets what could not be sent: routers and peers may be others now.
    pub(super) fn forget_failures(&mut self) {
        self.failed.clear();
    }

    fn advertise(&mut self, router: &Router, advert: &Advert, ports: &Ports) {
        match &router.peers {
            Peers::Multicast => self.send(router, advert, ports, &[group(router.family)]),
            Peers::Unicast { peers, .. } => self.send(router, advert, ports, peers),
        }
    }

    fn send(&mut self, router: &Router, advert: &Advert, ports: &Ports, destinations: &[IpAddr]) {
        for &destination in destinations {
            let outcome = match (ports.source(router), ports.sender(router)) {
                (None, _) => Err(Errno::ADDRNOTAVAIL.into()),
                (_, None) => Err(Errno::NETDOWN.into()),
                (Some(source), Some(sender)) => {
                    packet::encode(advert, router.checksum, source, destination, &mut self.message);
                    sender.send(ports.device(router), source, destination, &self.message)
                }
            };
            self.note(router, destination, outcome);
        }
    }

    /// The first failure is told, further ones are counted until it works again.
    fn note(&mut self, router: &Router, destination: IpAddr, outcome: io::Result<()>) {
        if outcome.is_ok() && self.failed.is_empty() {
            return;
        }
        let key = (router.name.clone(), destination);
        let event = match (outcome, self.failed.get_mut(&key)) {
            (Err(_), Some(failed)) => {
                *failed += 1;
                return;
            }
            (Err(error), None) => {
                self.failed.insert(key, 1);
                Event::SendFailed { router: router.name.clone(), destination, error }
            }
            (Ok(()), Some(failed)) => {
                let failed = *failed;
                self.failed.remove(&key);
                Event::SendRecovered { router: router.name.clone(), destination, failed }
            }
            (Ok(()), None) => return,
        };
        self.outbox.put(Errand::Tell(event));
    }

    /// An advert that is an interval late is told, at most once a minute.
    fn record_lateness(&mut self, router: &Router, due: Instant) {
        let now = clock::now();
        let by = self.lateness.record(due, now);
        let told = self.late_reported.is_some_and(|told| now < told + REPORT_LATE);
        if by >= router.interval && !told {
            self.late_reported = Some(now);
            self.outbox.put(Errand::Tell(Event::Late { router: router.name.clone(), by }));
        }
    }
}
