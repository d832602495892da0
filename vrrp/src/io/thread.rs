//! VRRP's thread: the machine, and nothing around it that waits.
//!
//! ```text
//!   daemon, keeper ──Inbox──┐                ┌──Orders──► keeper
//!   listeners ──────────────┼──► machine ────┼──Sender──► other directors
//!   timer ──────────────────┘                └──Outbox──► clerk ──► events and answers for the daemon,
//!                                                                   listeners opened and closed
//! ```

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;
use std::{io, mem};

use rustix::event::epoll::{self, Event as Ready, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::sync::oneshot;

use super::hearing::Hearing;
use super::inbox::{Inbox, Told};
use super::outbox::{Errand, Outbox};
use super::output::Output;
use super::ports::{Ports, Wanted};
use super::realtime::{self, Scheduling};
use super::socket::{Buffer, Sender};
use super::{Event, Orders, Snapshot, clock};
use crate::config::Config;
use crate::{Input, Machine, Received};

/// The most packets from one listener between two looks at the time. A flood so delays an advert by less than a
/// millisecond.
const BATCH: usize = 128;

const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// All that the thread owns.
pub(super) struct Thread {
    machine: Machine,
    ports: Ports,
    output: Output,
    inbox: Inbox,
    buffer: Buffer,
    batch: Vec<Told>,
    epoll: Arc<OwnedFd>,
    timer: OwnedFd,
    /// What the timer is set to.
    armed: Option<Instant>,
    scheduling: Scheduling,
    /// Something has changed that decides what is to be heard.
    unsettled: bool,
    hearing: Hearing,
    /// Who waits for the end.
    stopping: Vec<oneshot::Sender<Result<(), String>>>,
}

/// Whether there is a next turn.
#[derive(PartialEq, Eq)]
enum Next {
    Turn,
    End,
}

impl Thread {
    /// Makes the calling thread the one, and opens what it needs.
    pub(super) fn open(inbox: Inbox, orders: Box<dyn Orders>, outbox: Outbox) -> io::Result<Self> {
        // Each interface gets its own later: this tells at once where none is permitted.
        drop(Sender::open()?);
        let scheduling = realtime::claim(realtime::FOREMOST);
        let now = clock::now();
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&*epoll, &timer, EventData::new_u64(0), EventFlags::IN)?;
        epoll::add(&*epoll, &inbox, EventData::new_u64(0), EventFlags::IN)?;
        Ok(Self {
            machine: Machine::new(now),
            ports: Ports::new(epoll.clone()),
            output: Output::new(now, orders, outbox),
            inbox,
            buffer: Buffer::new(),
            batch: Vec::new(),
            epoll,
            timer,
            armed: None,
            scheduling,
            unsettled: true,
            hearing: Hearing::new(now),
            stopping: Vec::new(),
        })
    }

    /// Runs until it is told to end.
    pub(super) fn run(mut self, config: Config) {
        self.output.outbox.put(Errand::Tell(Event::Started(self.scheduling)));
        self.reload(clock::now(), config);
        self.settle();
        while self.turn() == Next::Turn {}
    }

    /// Packets come first: what was received while the thread could not run counts before the time that has passed;
    /// all of it, in however many turns.
    fn turn(&mut self) -> Next {
        self.arm();
        // Which of them woke us does not matter: there are few, and asking each takes less than a microsecond.
        let mut ready = [mem::MaybeUninit::<Ready>::uninit(); 8];
        let _interrupted = epoll::wait(&*self.epoll, &mut ready, None);
        self.receive();
        let next = self.take_told();
        self.tick();
        self.settle();
        if !self.stopping.is_empty() && self.machine.is_idle() {
            for reply in mem::take(&mut self.stopping) {
                self.output.outbox.put(Errand::Reply(reply, Ok(())));
            }
            return Next::End;
        }
        next
    }

    fn arm(&mut self) {
        let deadline = [self.machine.deadline(), self.ports.deadline()].into_iter().flatten().min();
        if deadline != self.armed {
            let it_value = deadline.map_or(NEVER, clock::on_boot_clock);
            let time = Itimerspec { it_interval: NEVER, it_value };
            let _always_valid = timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &time);
            self.armed = deadline;
        }
    }

    fn receive(&mut self) {
        let now = clock::now();
        let (mut broken, mut all) = (Vec::new(), true);
        for (interface, listener) in self.ports.listeners() {
            for taken in 1..=BATCH {
                all &= taken < BATCH;
                let packet = match listener.receive(&mut self.buffer) {
                    Ok(Some(packet)) => packet,
                    Ok(None) => break,
                    Err(error) => {
                        broken.push((interface.clone(), listener.family(), error));
                        break;
                    }
                };
                listener.note(now, packet.ttl);
                let received = Received {
                    interface,
                    source: packet.source,
                    destination: packet.destination,
                    ttl: packet.ttl,
                    message: packet.message,
                };
                let actions = self.machine.handle(now, Input::Received(received));
                self.unsettled |= self.output.perform(actions, &self.ports, None);
            }
        }
        self.hearing.note(now, all);
        for (interface, family, error) in broken {
            self.ports.drop_listener(now, &interface, family, error, &mut self.output.outbox);
            self.unsettled = true;
        }
    }

    fn take_told(&mut self) -> Next {
        let mut batch = mem::take(&mut self.batch);
        self.inbox.take(&mut batch);
        let now = clock::now();
        let (mut next, mut asked) = (Next::Turn, Vec::new());
        for told in batch.drain(..) {
            self.unsettled = true;
            match told {
                Told::Link(link) => self.ports.set_link(link, &mut self.output.outbox),
                Told::Device { router, index } => self.ports.set_device(router, index),
                Told::Listener { interface, index, family, outcome } => {
                    self.ports.set_listener(now, &interface, index, family, outcome, &mut self.output.outbox);
                }
                Told::Reload(config) => self.reload(now, config),
                Told::Track { key, state } => self.handle(now, Input::Track { key, state }),
                Told::Failover { name, reply } => {
                    let outcome = self.machine.failover(now, &name).map(|actions| {
                        self.output.perform(actions, &self.ports, None);
                    });
                    self.output.outbox.put(Errand::Reply(reply, outcome));
                }
                Told::Status(reply) => asked.push(reply),
                Told::Stop(reply) => {
                    self.stopping.push(reply);
                    self.handle(now, Input::Stop);
                }
                Told::Quit => next = Next::End,
            }
        }
        self.batch = batch;
        // One for all who ask, however many they are.
        if !asked.is_empty() {
            let snapshot = self.snapshot(now);
            self.output.outbox.put(Errand::Report(asked, snapshot));
        }
        next
    }

    fn tick(&mut self) {
        let now = clock::now();
        if let Some(due) = self.machine.deadline().filter(|due| *due <= now) {
            let actions = self.machine.handle(now, Input::Tick { heard: self.hearing.heard });
            self.unsettled |= self.output.perform(actions, &self.ports, Some(due));
        }
    }

    /// Brings what is heard and what the machine knows of it in line with everything that has changed.
    fn settle(&mut self) {
        let now = clock::now();
        if !mem::take(&mut self.unsettled) && self.ports.deadline().is_none_or(|retry| retry > now) {
            return;
        }
        // Those that are configured no more are among them until they have let go.
        let mut wanted = Wanted::new();
        for router in self.machine.status().map(|status| status.router) {
            let least_ttl = wanted.entry((router.interface.clone(), router.family)).or_insert(u8::MAX);
            *least_ttl = router.min_ttl().min(*least_ttl);
        }
        self.ports.want(wanted);
        for link in self.ports.reconcile(now, &mut self.output.outbox) {
            self.handle(now, link);
        }
    }

    fn handle(&mut self, now: Instant, input: Input<'_>) {
        let actions = self.machine.handle(now, input);
        self.unsettled |= self.output.perform(actions, &self.ports, None);
    }

    fn reload(&mut self, now: Instant, config: Config) {
        self.output.forget_failures();
        let actions = self.machine.reload(now, config);
        self.output.perform(actions, &self.ports, None);
    }

    fn snapshot(&mut self, now: Instant) -> Snapshot {
        Snapshot {
            now,
            routers: self.machine.status().collect(),
            unknown_router_ids: self.machine.unknown_router_ids(),
            lateness: self.output.lateness.read(now),
            scheduling: self.scheduling,
            lost: self.output.outbox.lost(),
        }
    }
}

/// Also when it panics.
impl Drop for Thread {
    fn drop(&mut self) {
        self.inbox.close();
    }
}
