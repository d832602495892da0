//! Holds what the Active routers are to hold, and announces it: a thread of its own, which nobody waits for.
//!
//! What is to be here is a level. An order changes it and is carried out at once; what failed, what somebody else has
//! changed and what a predecessor has left is found by asking for all of it again: at once after a notice of the
//! kernel, and every few seconds.

mod kernel;
mod ledger;
mod macvlan;
mod object;
mod published;
mod refusal;
mod report;
mod thread;
mod warden;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::mpsc as reports;

use super::guard::Program;
use super::{Inbox, Orders};
use crate::config::Config;
use crate::holding::Holding;
pub use report::Report;
use report::Reports;
use thread::{Order, Task, Thread};

/// So many reports wait for a reader; more are lost.
const REPORTS: usize = 1024;

/// What a keeper works with.
pub struct Settings {
    /// Where links, macvlans and tracked interfaces are told.
    pub inbox: Inbox,
    /// What lets go of everything should this process die; none: nothing does.
    pub guard: Option<Program>,
}

/// What a keeper is to know.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The virtual routers.
    pub config: Config,
    /// What each would hold, by its name.
    pub holdings: BTreeMap<Arc<str>, Arc<Holding>>,
    /// Interfaces that are tracked: each is told to the inbox as `interface NAME`.
    pub watched: BTreeSet<Arc<str>>,
}

/// The thread that holds addresses, routes and rules.
///
/// When this is dropped its guard resigns for the routers that are Active still, and takes everything off soon after;
/// without a guard the thread itself takes everything off at once.
pub struct Keeper {
    tasks: Option<mpsc::Sender<Task>>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

/// The keeper as VRRP's thread sees it.
pub struct KeeperOrders {
    // A queue with one sender never waits: not for another sender, and its reader never sleeps in it.
    orders: mpsc::Sender<Order>,
    wake: Arc<OwnedFd>,
}

impl Keeper {
    /// Starts the thread. Needs CAP_NET_ADMIN and CAP_NET_RAW.
    pub fn start(settings: Settings) -> io::Result<(Self, KeeperOrders, reports::Receiver<Report>)> {
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let (tasks, tasks_in) = mpsc::channel();
        let (orders, orders_in) = mpsc::channel();
        let (reports, reports_out) = reports::channel(REPORTS);
        let thread = Thread::new(settings, Arc::clone(&wake), tasks_in, orders_in, Reports(reports))?;
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || thread.run())?;
        let keeper = Self { tasks: Some(tasks), wake: Arc::clone(&wake), thread: Some(thread) };
        Ok((keeper, KeeperOrders { orders, wake }, reports_out))
    }

    /// Makes known what routers would hold, before the routers themselves are told. Of it everything that is here
    /// and not held is taken off, except for an owner's addresses. What is held follows at once, unless the router
    /// is not there any more: then it is held until it is released.
    pub fn configure(&self, setup: Setup) {
        self.tell(Task::Configure(setup));
    }

    /// Takes everything off, and returns when that is done. Nobody resigns: no router is Active any more.
    pub fn end(self) {
        self.tell(Task::End);
    }

    fn tell(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            let _ended = tasks.send(task);
            wake(&self.wake);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.tasks = None;
        wake(&self.wake);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl KeeperOrders {
    fn order(&self, order: Order) {
        let _ended = self.orders.send(order);
        wake(&self.wake);
    }
}

impl Orders for KeeperOrders {
    fn hold(&self, router: &Arc<str>) {
        self.order(Order::Hold(Arc::clone(router)));
    }

    fn announce(&self, router: &Arc<str>) {
        self.order(Order::Announce(Arc::clone(router)));
    }

    fn release(&self, router: &Arc<str>) {
        self.order(Order::Release(Arc::clone(router)));
    }
}

fn wake(fd: &OwnedFd) {
    // Fails only where it has been written 2^64 - 2 times since it was read.
    let _full = rustix::io::write(fd, &1_u64.to_ne_bytes());
}

#[cfg(test)]
mod tests;
