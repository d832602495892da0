//! One thread: waits for events, hands them to the services' connections, and takes new tables in between.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use crate::clock::Millis;
use crate::core::{Core, Shared};
use crate::listener::BACKLOG;
use crate::pool::Pool;
use crate::services::Services;
use crate::tcp::{ACCEPTS, Queue, Tcp};
use crate::token::Token;
use crate::udp::Udp;
use crate::{OnDown, Protocol, ServiceKey};

/// Events taken from the kernel at once.
const BATCH: usize = 256;
/// Turns of accepting that empty any listener's queue.
const QUEUE_TURNS: usize = BACKLOG as usize / ACCEPTS + 1;
/// How long a listener rests that has nothing to accept with.
const REST: Millis = 50;

/// What the handle tells a thread. The thread drops `done` when it has obeyed.
pub(crate) enum Command {
    Publish {
        /// Ordered by key.
        pools: Arc<[Arc<Pool>]>,
        /// Of services that had none.
        listeners: Vec<(ServiceKey, OwnedFd)>,
        done: Sender<()>,
    },
    /// Close the listeners.
    StopAccepting { done: Sender<()> },
    /// Reset what is left and end.
    Shutdown,
}

pub(crate) struct Worker {
    core: Core,
    services: Services,
    tcp: Tcp,
    udp: Udp,
    inbox: Receiver<Command>,
    wake: Arc<OwnedFd>,
    /// Listeners without a descriptor to accept with, and when to try again.
    resting: Vec<usize>,
    rest_until: Millis,
    stopped: bool,
}

impl Worker {
    pub(crate) fn new(
        thread: usize,
        shared: Arc<Shared>,
        inbox: Receiver<Command>,
        wake: Arc<OwnedFd>,
    ) -> Result<Worker, Errno> {
        let core = Core::new(thread, shared)?;
        core.register(&wake, Token::Wake, EventFlags::IN)?;
        Ok(Worker {
            tcp: Tcp::new(core.now),
            udp: Udp::new(core.now),
            core,
            services: Services::default(),
            inbox,
            wake,
            resting: Vec::new(),
            rest_until: 0,
            stopped: false,
        })
    }

    pub(crate) fn run(mut self) {
        let mut events = Vec::with_capacity(BATCH);
        let mut busy = false;
        while !self.stopped {
            let timeout =
                if busy { Some(0) } else { self.next_timer().map(|at| at.saturating_sub(self.core.now)) };
            events.clear();
            match epoll::wait(&self.core.epoll, spare_capacity(&mut events), timeout.map(timespec).as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "proxy thread ends: cannot wait for events");
                    return;
                }
            }
            self.core.now = self.core.shared.clock.now();
            for event in &events {
                self.dispatch(Token::unpack(event.data.u64()), event.flags);
            }
            self.wake_listeners();
            self.tcp.expire(&mut self.core, &mut self.services);
            self.udp.expire(&mut self.core, &mut self.services);
            busy = self.tcp.go_on(&mut self.core, &mut self.services);
        }
        self.tcp.reset_all(&mut self.core, &mut self.services);
    }

    fn dispatch(&mut self, token: Token, flags: EventFlags) {
        match token {
            Token::Wake => self.obey(),
            Token::Listener(service) => self.accept(service),
            Token::Client(..) | Token::Server(..) => {
                self.tcp.event(&mut self.core, &mut self.services, token, flags);
            }
            Token::Session(index, serial) => {
                self.udp.answer(&mut self.core, &mut self.services, index, serial);
            }
        }
    }

    fn protocol(&mut self, service: usize) -> Option<Protocol> {
        Some(self.services.get(service)?.pool.service.key.protocol)
    }

    fn accept(&mut self, service: usize) {
        if self.protocol(service) == Some(Protocol::Udp) {
            return self.udp.receive(&mut self.core, &mut self.services, service);
        }
        if self.tcp.accept(&mut self.core, &mut self.services, service) == Queue::Stuck {
            // Level-triggered, it would be reported again at once and for ever.
            self.listen_for(service, EventFlags::empty());
            self.resting.push(service);
            self.rest_until = self.core.now + REST;
        }
    }

    fn wake_listeners(&mut self) {
        if self.core.now >= self.rest_until {
            for service in std::mem::take(&mut self.resting) {
                self.listen_for(service, EventFlags::IN);
            }
        }
    }

    fn listen_for(&mut self, service: usize, flags: EventFlags) {
        if let Some(listener) = self.services.get(service).and_then(|entry| entry.listener.as_ref()) {
            let data = EventData::new_u64(Token::Listener(service).pack());
            if let Err(error) = epoll::modify(&self.core.epoll, listener, data, flags) {
                tracing::error!(%error, "cannot change what is waited for at a listener");
            }
        }
    }

    fn next_timer(&self) -> Option<Millis> {
        let rest = (!self.resting.is_empty()).then_some(self.rest_until);
        [self.tcp.next_timer(), self.udp.next_timer(), rest].into_iter().flatten().min()
    }

    fn obey(&mut self) {
        let mut count = [0; 8];
        // Non-blocking; a spurious wake-up finds nothing, which is fine.
        let _ = rustix::io::read(&self.wake, &mut count);
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Publish { pools, listeners, done }) => {
                    self.publish(&pools, listeners);
                    drop(done);
                }
                Ok(Command::StopAccepting { done }) => {
                    for (_, service) in self.services.keys() {
                        self.withdraw(service);
                    }
                    drop(done);
                }
                Ok(Command::Shutdown) | Err(TryRecvError::Disconnected) => {
                    self.stopped = true;
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
        }
    }

    fn publish(&mut self, pools: &[Arc<Pool>], listeners: Vec<(ServiceKey, OwnedFd)>) {
        for (key, service) in self.services.keys() {
            if pools.binary_search_by_key(&key, |pool| pool.service.key).is_err() {
                self.withdraw(service);
            }
        }
        let mut dead = BTreeSet::new();
        for pool in pools {
            if self.services.put(pool, self.core.thread) && pool.service.on_down == OnDown::Reset {
                self.note_dead(pool, &mut dead);
            }
        }
        for (key, listener) in listeners {
            let Some((service, entry)) = self.services.find(key) else { continue };
            match self.core.register(&listener, Token::Listener(service), EventFlags::IN) {
                Ok(()) => entry.listener = Some(listener),
                // Closed, so that the kernel gives its share to the other threads.
                Err(error) => tracing::error!(%error, listen = %key.listen, "cannot wait for connections"),
            }
        }
        if !dead.is_empty() {
            self.tcp.reset_dead(&mut self.core, &mut self.services, &dead);
            self.udp.end_dead(&mut self.core, &mut self.services, &dead);
        }
    }

    fn note_dead(&mut self, pool: &Pool, dead: &mut BTreeSet<(usize, SocketAddr)>) {
        let Some((service, _)) = self.services.find(pool.service.key) else { return };
        let addresses = pool.service.destinations.iter().filter(|one| !one.alive).map(|one| one.address);
        dead.extend(addresses.map(|address| (service, address)));
    }

    /// Takes what is in the listener's queue and closes it.
    fn withdraw(&mut self, service: usize) {
        match self.protocol(service) {
            Some(Protocol::Tcp) => {
                // Bounded, because new ones may come as fast as they are taken.
                (0..QUEUE_TURNS)
                    .find(|_| self.tcp.accept(&mut self.core, &mut self.services, service) != Queue::More);
            }
            Some(Protocol::Udp) => self.udp.end_service(&mut self.core, &mut self.services, service),
            None => {}
        }
        self.services.withdraw(service);
    }
}

fn timespec(wait: Millis) -> Timespec {
    // A day at most: it cannot overflow, and waking once a day costs nothing.
    let wait = Duration::from_millis(wait.min(86_400_000));
    Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) }
}
