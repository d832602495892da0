//! The handle of VRRP's thread.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::inbox::{Inbox, Told};
use super::lateness::Lateness;
use super::realtime::Scheduling;
use super::thread::Thread;
use super::{Event, Orders, outbox};
use crate::config::Config;
use crate::{RouterStatus, Tracked};

/// All virtual routers of a director at work, in the network namespace in which they were started.
///
/// Dropped, it stops at once: without resigning, and with everything held as it is.
pub struct Vrrp {
    inbox: Inbox,
    thread: Option<JoinHandle<()>>,
}

/// How it stands.
#[derive(Debug)]
pub struct Snapshot {
    /// When, on the clock of all times in it, which goes on while the machine is suspended.
    pub now: Instant,
    /// The virtual routers.
    pub routers: Vec<RouterStatus>,
    /// Packets that were for none of them: of another router id, or on an interface that is not theirs. Not those that
    /// the kernel has dropped, see [`crate::Refusal::Ttl`].
    pub unknown_router_ids: u64,
    /// How late adverts were.
    pub lateness: Lateness,
    /// What the thread was given.
    pub scheduling: Scheduling,
    /// Events that were lost because they were not taken in time.
    pub lost: u64,
}

impl Vrrp {
    /// Starts the thread. Links are told through the inbox, before or after; orders go to whoever keeps the addresses.
    ///
    /// The receiver ends when the thread has ended. If nobody has asked for that, the thread has panicked: whoever holds
    /// the addresses must not go on holding them.
    pub fn start(
        config: Config,
        inbox: Inbox,
        orders: impl Orders,
    ) -> io::Result<(Self, mpsc::Receiver<Event>)> {
        let (outbox, events) = outbox::start(inbox.clone())?;
        let (opened, outcome) = sync_channel(1);
        let told = inbox.clone();
        let run = move || match Thread::open(told, Box::new(orders), outbox) {
            Ok(thread) => {
                // It is waited for below.
                let _waiting = opened.send(Ok(()));
                thread.run(config);
            }
            Err(error) => drop(opened.send(Err(error))),
        };
        let thread = thread::Builder::new().name("vrrp".to_owned()).spawn(run)?;
        outcome
            .recv()
            .unwrap_or_else(|_panicked| Err(io::Error::other("VRRP's thread panicked at its start")))?;
        Ok((Self { inbox, thread: Some(thread) }, events))
    }

    /// From now on these virtual routers.
    pub fn reload(&self, config: Config) {
        self.inbox.tell(Told::Reload(config));
    }

    /// The state of something that is tracked.
    pub fn track(&self, key: Arc<str>, state: Tracked) {
        self.inbox.tell(Told::Track { key, state });
    }

    /// Has another director take over the router or the group of this name; or says why that cannot be.
    pub async fn failover(&self, name: Arc<str>) -> Result<(), String> {
        let ended = || Err("VRRP's thread has ended".to_owned());
        self.ask(|reply| Told::Failover { name, reply }).await.unwrap_or_else(ended)
    }

    /// How it stands; none if the thread has ended.
    pub async fn status(&self) -> Option<Arc<Snapshot>> {
        self.ask(Told::Status).await
    }

    /// Resigns in order, and returns when all routers have let go, which is as soon as their successors are heard, and
    /// after their active down intervals at the latest. The keeper may still be at it.
    pub async fn stop(&self) {
        let _ended_already = self.ask(Told::Stop).await;
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Told) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.inbox.tell(question(reply));
        answer.await.ok()
    }
}

impl Drop for Vrrp {
    fn drop(&mut self) {
        self.inbox.tell(Told::Quit);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
