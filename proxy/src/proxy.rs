//! The handle: starts the threads, publishes tables to them, reads what they count.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::cells::PerThread;
use crate::clock::Clock;
use crate::core::Shared;
use crate::limits::{connection_limit, pipes_per_thread, raise_descriptor_limit};
use crate::pool::Pool;
use crate::slots::Slots;
use crate::worker::{Command, Worker};
use crate::{Counters, Limits, ListenError, ServiceKey, Table, listener};

/// What is decided once, at the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// None: one for each core.
    pub threads: Option<NonZero<usize>>,
    /// The most client connections and UDP sessions together. None: as many as the descriptor limit allows,
    /// after it was raised to the hard limit.
    pub max_connections: Option<usize>,
}

/// Why the proxy could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system has no descriptor or memory for it.
    #[error("cannot set up a proxy thread")]
    Setup(#[from] Errno),
    /// The system refuses a thread.
    #[error("cannot start a proxy thread")]
    Thread(#[source] std::io::Error),
}

/// A running proxy. Dropping it is [`Proxy::shutdown`].
#[derive(Debug)]
pub struct Proxy {
    threads: Vec<Thread>,
    shared: Arc<Shared>,
    settings: Settings,
    descriptors: u64,
    slots: Slots,
    table: Table,
    pools: BTreeMap<ServiceKey, Arc<Pool>>,
    accepting: bool,
}

#[derive(Debug)]
struct Thread {
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
    /// Taken when it is joined.
    handle: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts the threads. Nothing is listened on before the first [`Proxy::publish`].
    pub fn start(settings: Settings) -> Result<Proxy, StartError> {
        let descriptors = raise_descriptor_limit();
        let count =
            settings.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
        let shared = Arc::new(Shared {
            clock: Clock::start(),
            open: PerThread::new(count),
            limit: AtomicU64::new(0),
            pipes: pipes_per_thread(descriptors, count),
        });
        let mut proxy = Proxy {
            threads: Vec::with_capacity(count),
            shared,
            settings,
            descriptors,
            slots: Slots::new(count),
            table: Table::default(),
            pools: BTreeMap::new(),
            accepting: true,
        };
        proxy.shared.limit.store(proxy.connection_limit(), Ordering::Relaxed);
        for number in 0..count {
            let thread = Thread::start(number, &proxy.shared)?;
            proxy.threads.push(thread);
        }
        Ok(proxy)
    }

    /// Makes the table the one that is served. Blocks until every thread has it, which is short: they never
    /// wait for anything but events.
    ///
    /// Listeners of new services are opened, those of services that are gone are closed after what is in
    /// their queues has been accepted, and everything else changes in place. Connections go on through every
    /// change, also those of services and destinations that are gone, except where [`crate::OnDown::Reset`]
    /// says otherwise; sessions of a UDP service end with its listener.
    ///
    /// Returns the services that could not be listened on. They are not served and are tried again at the
    /// next publish.
    pub fn publish(&mut self, table: Table) -> Vec<(ServiceKey, ListenError)> {
        let gone = |service: &&Arc<crate::Service>| {
            table.services.binary_search_by_key(&service.key, |one| one.key).is_err()
        };
        let some_closed = self.table.services.iter().any(|service| gone(&service));
        let mut failed = self.apply(&table);
        if some_closed && !failed.is_empty() {
            // What stood in the way may have been a listener that is closed only now.
            failed = self.apply(&table);
        }
        self.slots.prune();
        failed
    }

    fn apply(&mut self, table: &Table) -> Vec<(ServiceKey, ListenError)> {
        let alive: Vec<bool> = self.threads.iter().map(Thread::is_alive).collect();
        let mut listeners: Vec<Vec<(ServiceKey, OwnedFd)>> = alive.iter().map(|_| Vec::new()).collect();
        let mut failed = Vec::new();
        let mut pools = BTreeMap::new();
        let mut served = Table::default();
        for service in &table.services {
            let before = self.pools.get(&service.key);
            if before.is_none() {
                if !self.accepting {
                    continue;
                }
                match listener::open(service.key, alive.iter().filter(|alive| **alive).count()) {
                    Ok(sockets) => {
                        let takers = listeners.iter_mut().zip(&alive).filter(|(_, alive)| **alive);
                        takers
                            .zip(sockets)
                            .for_each(|((taker, _), socket)| taker.push((service.key, socket)));
                    }
                    Err(error) => {
                        failed.push((service.key, error));
                        continue;
                    }
                }
            }
            pools.insert(service.key, Pool::compile(service, before, &mut self.slots));
            served.services.push(Arc::clone(service));
        }
        self.pools = pools;
        self.table = served;
        self.shared.limit.store(self.connection_limit(), Ordering::Relaxed);
        let pools: Arc<[Arc<Pool>]> = self.pools.values().cloned().collect();
        let mut listeners = listeners.into_iter();
        self.command(|done| Command::Publish {
            pools: Arc::clone(&pools),
            listeners: listeners.next().unwrap_or_default(),
            done,
        });
        failed
    }

    /// What is being served now: the last table without the services that could not be listened on.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Everything counted since the start. Counters of what has left the table stay and go on when it comes
    /// back (the last few thousand of them).
    pub fn counters(&self) -> Counters {
        self.slots.counters()
    }

    /// The limits and how much of them is used.
    pub fn limits(&self) -> Limits {
        Limits {
            descriptors: self.descriptors,
            max_connections: self.shared.limit.load(Ordering::Relaxed),
            open: self.shared.open(),
        }
    }

    /// Client connections that are open, over TCP.
    pub fn active(&self) -> u64 {
        self.shared.connections()
    }

    /// False when a thread has ended by an error of the proxy's own. The others go on and get its new
    /// connections, but the connections that it had are lost: whoever sees this should restart in order.
    pub fn healthy(&self) -> bool {
        self.threads.iter().all(Thread::is_alive)
    }

    /// Closes all listeners for good, after what is in their queues has been accepted. Connections go on;
    /// UDP sessions end.
    pub fn stop_accepting(&mut self) {
        self.accepting = false;
        self.table = Table::default();
        self.pools.clear();
        self.command(|done| Command::StopAccepting { done });
    }

    /// Resets the connections that are left and ends the threads.
    pub fn shutdown(self) {}

    fn connection_limit(&self) -> u64 {
        let listeners = (self.pools.len() * self.threads.len()) as u64;
        let derived = connection_limit(self.descriptors, listeners);
        self.settings.max_connections.map_or(derived, |wanted| derived.min(wanted as u64))
    }

    /// Gives every thread its command and waits until all have obeyed.
    fn command(&self, mut command: impl FnMut(Sender<()>) -> Command) {
        let (done, all_done) = mpsc::channel();
        for thread in &self.threads {
            thread.send(command(done.clone()));
        }
        drop(done);
        // Ends with an error when the last sender is gone, be it by obedience or by the end of its thread.
        let _ = all_done.recv();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for thread in &self.threads {
            thread.send(Command::Shutdown);
        }
        for handle in self.threads.iter_mut().filter_map(|thread| thread.handle.take()) {
            if handle.join().is_err() {
                tracing::error!("a proxy thread had ended by a panic");
            }
        }
    }
}

impl Thread {
    fn start(number: usize, shared: &Arc<Shared>) -> Result<Thread, StartError> {
        let (commands, inbox) = mpsc::channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let worker = Worker::new(number, Arc::clone(shared), inbox, Arc::clone(&wake))?;
        let handle = std::thread::Builder::new()
            .name(format!("proxy-{number}"))
            .spawn(move || worker.run())
            .map_err(StartError::Thread)?;
        Ok(Thread { commands, wake, handle: Some(handle) })
    }

    fn is_alive(&self) -> bool {
        self.handle.as_ref().is_some_and(|handle| !handle.is_finished())
    }

    fn send(&self, command: Command) {
        // A thread that has ended takes no commands, and `healthy` tells of it.
        if self.commands.send(command).is_ok() {
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::{Destination, OnDown, Protocol, Scheduler, SchedulerFlags, Service};

    fn free_address() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    fn service(listen: SocketAddr, address: SocketAddr) -> Arc<Service> {
        Arc::new(Service {
            key: ServiceKey { protocol: Protocol::Tcp, listen },
            group: "web".into(),
            scheduler: Scheduler::RoundRobin,
            scheduler_flags: SchedulerFlags::default(),
            persistence: None,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(5),
            proxy_protocol: None,
            on_down: OnDown::Keep,
            destinations: vec![Destination { address, weight: 1, max_connections: 0, alive: true }],
            overflow: None,
        })
    }

    #[test]
    fn a_thread_that_ends_is_noticed_and_the_others_take_its_part() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        std::thread::spawn(move || server.incoming().for_each(|client| drop(client.unwrap().write(b"x"))));
        let works = |listen: SocketAddr| {
            let mut answer = Vec::new();
            TcpStream::connect(listen).unwrap().read_to_end(&mut answer).unwrap();
            answer == b"x"
        };
        let mut proxy = Proxy::start(Settings { threads: NonZero::new(2), max_connections: None }).unwrap();
        let [before, after] = [free_address(), free_address()];
        assert_eq!(proxy.publish(Table { services: vec![service(before, address)] }), []);
        assert!(proxy.healthy() && works(before));

        proxy.threads[0].send(Command::Shutdown);
        while proxy.healthy() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut services = vec![service(before, address), service(after, address)];
        services.sort_by_key(|service| service.key);
        assert_eq!(proxy.publish(Table { services }), []);
        assert!((0..20).all(|_| works(before) && works(after)));
    }
}
