//! The keeper's thread: takes orders and notices, and sees to it that what should be is.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::kernel::{Kernel, Objects};
use super::ledger::{self, Ledger};
use super::object::{self, Object};
use super::published::Published;
use super::refusal::Refusal;
use super::report::{Report, Reports};
use super::warden::Warden;
use super::{Settings, Setup};
use crate::holding::Holding;
use crate::io::announce::Announcer;
use crate::io::{clock, realtime};

/// Everything is asked for again so often.
const PERIOD: Duration = Duration::from_secs(5);
/// After a failure sooner, twice as long each time.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// What is taken off is put back at once; whoever does that again and again finds a pause.
const PAUSE: Duration = Duration::from_millis(50);

/// What the daemon wants.
pub(super) enum Task {
    Configure(Setup),
    /// Nothing is to be held any more.
    End,
}

/// What VRRP's thread wants.
pub(super) enum Order {
    Hold(Arc<str>),
    Announce(Arc<str>),
    Release(Arc<str>),
}

pub(super) struct Thread {
    wake: Arc<OwnedFd>,
    tasks: Receiver<Task>,
    orders: Receiver<Order>,
    reports: Reports,
    ledger: Ledger,
    kernel: Kernel,
    announcer: Announcer,
    warden: Warden,
    published: Published,
    refusal: Refusal,
    checked: Instant,
    check_at: Instant,
    retry: Duration,
}

/// What comes after the tasks.
#[derive(PartialEq, Eq)]
enum Next {
    Turn,
    End,
    /// The keeper was dropped: routers may be Active still.
    Abandon,
}

impl Thread {
    pub(super) fn new(
        settings: Settings,
        wake: Arc<OwnedFd>,
        tasks: Receiver<Task>,
        orders: Receiver<Order>,
        reports: Reports,
    ) -> io::Result<Self> {
        let now = clock::now();
        Ok(Self {
            wake,
            tasks,
            orders,
            ledger: Ledger::default(),
            kernel: Kernel::open(reports.clone())?,
            announcer: Announcer::default(),
            warden: Warden::new(settings.guard, reports.clone()),
            published: Published::new(settings.inbox),
            refusal: Refusal::new(reports.clone()),
            reports,
            checked: now,
            check_at: now + PERIOD,
            retry: FIRST_RETRY,
        })
    }

    /// Until the keeper ends or is dropped.
    pub(super) fn run(mut self) {
        // VRRP's thread comes first; what it reports of itself holds for this one too.
        let _as_far_as_permitted = realtime::claim(realtime::FOREMOST - 1);
        let next = loop {
            match self.take_tasks() {
                Next::Turn => {}
                end => break end,
            }
            self.take_orders();
            self.take_notices();
            let now = clock::now();
            if now >= self.check_at {
                self.check(now);
            }
            let tend_at = self.warden.tend(now, &self.ledger, &self.kernel);
            self.published.update(&self.ledger, &self.kernel.links);
            self.wait(tend_at.map_or(self.check_at, |at| at.min(self.check_at)));
        };
        if next == Next::End || !self.warden.abandon() {
            self.let_go();
        }
    }

    fn wait(&self, until: Instant) {
        let left = until.saturating_duration_since(clock::now());
        let mut fds =
            vec![PollFd::new(&self.wake, PollFlags::IN), PollFd::new(&self.kernel.monitor, PollFlags::IN)];
        fds.extend(self.warden.guard().map(|guard| PollFd::new(guard, PollFlags::IN)));
        // An error here is an interruption; then everything is looked at.
        let _ready = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
        let _nothing = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    fn take_tasks(&mut self) -> Next {
        loop {
            match self.tasks.try_recv() {
                Ok(Task::Configure(setup)) => self.configure(setup),
                Ok(Task::End) => return Next::End,
                Err(TryRecvError::Empty) => return Next::Turn,
                Err(TryRecvError::Disconnected) => return Next::Abandon,
            }
        }
    }

    fn configure(&mut self, setup: Setup) {
        let Setup { config, holdings, watched } = setup;
        let before = self.ledger.configure(holdings);
        self.warden.configure(&config);
        self.published.watch(watched);
        let followed: BTreeSet<_> = before.iter().map(|(router, _)| Arc::clone(router)).collect();
        self.kernel.have_macvlans(&self.ledger.macvlans());
        self.take_notices();
        let new = self.carry_out(&followed, before);
        for router in &followed {
            self.announce(router, |address| new.contains(address));
        }
        self.check(clock::now());
    }

    /// Carries out all orders that wait, as if they were one.
    fn take_orders(&mut self) {
        let (mut touched, mut announced) = (BTreeSet::new(), BTreeSet::new());
        let mut before = Vec::new();
        for order in self.orders.try_iter() {
            match order {
                Order::Hold(router) => {
                    before.extend(self.ledger.hold(&router));
                    touched.insert(router);
                }
                Order::Release(router) => {
                    before.extend(self.ledger.release(&router));
                    touched.insert(router);
                }
                Order::Announce(router) => {
                    announced.insert(router);
                }
            }
        }
        if !touched.is_empty() {
            self.carry_out(&touched, before);
        }
        for router in announced {
            self.announce(&router, |_| true);
        }
    }

    /// Brings about what has changed for these routers, of which some have held something before; what is new.
    fn carry_out(
        &mut self,
        touched: &BTreeSet<Arc<str>>,
        before: Vec<(Arc<str>, Arc<Holding>)>,
    ) -> Vec<Object> {
        // A guard can only take off what it has been told of before.
        self.warden.tell(touched, &self.ledger, &self.kernel);
        let wanted = self.ledger.wanted();
        let new = self.kernel.put(&absent(&wanted, &self.kernel), false);
        let before = before.iter().map(|(router, holding)| (router, holding));
        self.kernel.take_off(&self.ledger.surplus(ledger::objects(before)));
        new
    }

    fn take_notices(&mut self) {
        match self.kernel.take_notices(&self.ledger) {
            Ok(false) => {}
            Ok(true) => self.check_at = self.check_at.min(self.checked + PAUSE),
            Err(error) => self.unread(&error),
        }
    }

    fn unread(&self, error: &io::Error) {
        let what = format!("links and their addresses cannot be read: {error}; will be tried again");
        self.reports.send(Report::Trouble { what });
    }

    /// Asks for everything that is to be and against everything that is not.
    fn check(&mut self, now: Instant) {
        // Whatever the notices have said.
        if let Err(error) = self.kernel.read_all() {
            self.unread(&error);
        }
        self.take_orders();
        self.refusal.refuse(self.ledger.refused());
        self.kernel.begin_check();
        self.kernel.have_macvlans(&self.ledger.macvlans());
        self.take_notices();
        let wanted = self.ledger.wanted();
        self.kernel.take_off_strays(&wanted);
        let back = self.kernel.put(&wanted, true);
        self.take_orders();
        let mut unwanted = self.ledger.unwanted();
        unwanted.extend(self.ledger.surplus(self.kernel.remains().into_iter()));
        self.kernel.take_off(&unwanted);
        self.warden.tell_all(&self.ledger, &self.kernel);
        let routers: BTreeSet<_> = back.iter().filter_map(|object| wanted.get(object)).cloned().collect();
        for router in routers {
            self.announce(&router, |address| back.contains(address));
        }
        self.checked = now;
        self.retry = if self.kernel.is_behind() { (self.retry * 2).min(PERIOD) } else { FIRST_RETRY };
        self.check_at = now + if self.kernel.is_behind() { self.retry } else { PERIOD };
    }

    /// Announces the addresses of a router that are there. One for which that fails is left out of further rounds.
    fn announce(&mut self, router: &str, chosen: impl Fn(&Object) -> bool) {
        let Some(holding) = self.ledger.held(router) else { return };
        let is_there = |address: &Object| (holding.owner || self.kernel.has(address)) && chosen(address);
        let mut addresses: Vec<_> = object::addresses(holding)
            .filter(|address| is_there(&Object::Address(address.clone())))
            .collect();
        let mut failures = Vec::new();
        for _ in 0..holding.announcements {
            addresses.retain(|address| {
                let outcome =
                    self.announcer.announce(&self.kernel.links, &address.interface, address.address);
                if let Err(error) = &outcome {
                    failures.push(format!("{} on {}: {error}", address.address, address.interface));
                }
                outcome.is_ok()
            });
        }
        if let Some(first) = failures.first() {
            let what = format!("{router}: {} addresses were not announced: first {first}", failures.len());
            self.reports.send(Report::Trouble { what });
        }
    }

    /// Takes off everything.
    fn let_go(mut self) {
        let mut all = self.ledger.wanted();
        all.extend(self.ledger.surplus(self.kernel.remains().into_iter()));
        self.kernel.take_off(&all);
        self.kernel.have_macvlans(&BTreeMap::new());
        self.refusal.end();
        self.warden.dismiss();
    }
}

/// What of it is not there.
fn absent(wanted: &Objects, kernel: &Kernel) -> Objects {
    let absent = wanted.iter().filter(|(object, _)| !kernel.has(object));
    absent.map(|(object, router)| (object.clone(), Arc::clone(router))).collect()
}
