//! One thread and its checks.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use slab::Slab;
use tokio::sync::mpsc;

use super::connection::Connection;
use super::idle::Idle;
use super::outbox::Outbox;
use super::{Share, part};
use crate::half_open::{HalfOpen, Source};
use crate::probe::{Probes, renew};
use crate::schedule::{Actions, Input, Place, Schedule, Stats};
use crate::{Observation, Outcome, Probe, Settings, Spec, check, clock, half_open};

/// Events taken from the kernel at once.
const BATCH: usize = 256;
/// Checks begun before the next look at those that run.
pub(super) const STARTS: usize = 64;
/// The shortest wait for what comes by itself, so that checks that are due one after the other begin together: waking
/// up costs as much as a tenth of a check.
const GRAIN: Duration = Duration::from_millis(5);
/// How far over its deadline a check may be while there are more events than can be taken at once.
const PATIENCE: Duration = Duration::from_millis(100);
/// Room for the beginning of an answer.
const BUFFER: usize = 8 << 10;
/// The token of whoever wakes the thread, and the first of raw sockets. That of a check is its place, and above that
/// its [generation](Thread::generation).
const WAKE: u64 = 1 << 63;
const RAW: u64 = WAKE + 1;

pub(super) struct Thread {
    share: Share,
    schedule: Schedule<Known>,
    max_concurrent: usize,
    /// Whose turn has come, and when that was.
    due: VecDeque<(Place, Instant)>,
    running: Slab<Running>,
    /// Of the latest check, 31 bits. A socket that has been closed here may live on for a moment in a child that is
    /// being forked: what happens to it then is not to be taken for an event of the next check in the same place.
    generation: u64,
    /// Of the running ones.
    deadlines: BTreeSet<(Instant, usize)>,
    half_open: HalfOpen,
    idle: Idle,
    outbox: Outbox,
    epoll: Arc<OwnedFd>,
    inbox: Receiver<(Probes, usize)>,
    wake: Arc<OwnedFd>,
    stats: Arc<Mutex<Stats>>,
    buffer: Box<[u8]>,
}

/// A probe, and what one check leaves for the next.
struct Known {
    probe: Arc<Probe>,
    source: Source,
}

struct Running {
    probe: Place,
    start: Instant,
    deadline: Instant,
    generation: u64,
    asked: Asked,
}

enum Asked {
    Connection(Connection),
    HalfOpen(half_open::Asked),
}

impl Thread {
    pub(super) fn new(
        share: Share,
        settings: Settings,
        inbox: Receiver<(Probes, usize)>,
        (wake, stats): (Arc<OwnedFd>, Arc<Mutex<Stats>>),
        observations: mpsc::Sender<Vec<Observation>>,
    ) -> Result<Self, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Self {
            share,
            schedule: Schedule::new(settings.seed),
            max_concurrent: settings.max_concurrent,
            due: VecDeque::new(),
            running: Slab::new(),
            generation: 0,
            deadlines: BTreeSet::new(),
            half_open: HalfOpen::default(),
            idle: Idle::default(),
            outbox: Outbox::new(observations),
            epoll: Arc::new(epoll),
            inbox,
            wake,
            stats,
            buffer: vec![0; BUFFER].into(),
        })
    }

    /// Until there is nobody any more to run for.
    pub(super) fn run(mut self) {
        let mut events = Vec::with_capacity(BATCH);
        loop {
            events.clear();
            let timeout = self.timeout(clock::now());
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                // Whoever has started it sees that it has ended.
                Err(_) => return,
            }
            let now = clock::now();
            if !self.look(now, &events) {
                return;
            }
            self.handle(now, Input::Tick);
            self.begin();
            if !self.outbox.flush(now) {
                return;
            }
            *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = self.schedule.stats();
        }
    }

    /// What has happened by now. False: it is to end.
    fn look(&mut self, now: Instant, events: &[Event]) -> bool {
        for event in events {
            match event.data.u64() {
                WAKE if self.update(now) => {}
                WAKE => return false,
                token @ RAW.. => self.hear(now, (token - RAW) as usize),
                token => self.ready(now, token, event.flags),
            }
        }
        // Answers that have not been looked at yet are not too late, but they do not keep others waiting for ever.
        let patience = if events.len() < BATCH { Duration::ZERO } else { PATIENCE };
        self.expire(now, patience);
        true
    }

    /// How long to wait for events; none: until there is one.
    fn timeout(&self, now: Instant) -> Option<Timespec> {
        if !self.due.is_empty() {
            return Some(Timespec::default());
        }
        let first = self.deadlines.first().map(|(at, _)| *at);
        let room = self.half_open.is_behind().then_some(now);
        let times = [self.schedule.deadline(), first, self.outbox.deadline(now), room];
        let next = times.into_iter().flatten().min()?;
        Timespec::try_from(next.saturating_duration_since(now).max(GRAIN)).ok()
    }

    /// Takes the latest set of probes. False: it is to end.
    fn update(&mut self, now: Instant) -> bool {
        // Fails only when it was read before.
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        let mut latest = None;
        loop {
            match self.inbox.try_recv() {
                Ok(update) => latest = Some(update),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        if let Some((probes, threads)) = latest {
            let share = self.share;
            let mine = probes.iter().filter(|probe| share.has(probe, threads));
            let most = match share {
                Share::Connecting(_) => part(self.max_concurrent, mine.clone().count(), &probes),
                Share::HalfOpen => usize::MAX,
            };
            self.schedule.limit(most);
            let known = |probe: &Arc<Probe>| Known { probe: Arc::clone(probe), source: Source::default() };
            let update = renew(&self.schedule, mine, known);
            self.handle(now, update);
            // Some may be of a kind that there is no more.
            self.idle.clear();
            if self.schedule.stats().probes == 0 {
                self.half_open.close();
            }
        }
        true
    }

    fn handle(&mut self, now: Instant, input: Input<Known>) {
        let Actions { stop, start } = self.schedule.handle(now, input);
        if !stop.is_empty() {
            self.stop(&stop);
        }
        self.due.extend(start);
    }

    fn stop(&mut self, gone: &[(Place, u64)]) {
        gone.iter().for_each(|(_, id)| self.outbox.forget(*id));
        let gone: HashSet<Place> = gone.iter().map(|(place, _)| *place).collect();
        self.due.retain(|(probe, _)| !gone.contains(probe));
        let running = self.running.iter().filter(|(_, running)| gone.contains(&running.probe));
        let tokens: Vec<usize> = running.map(|(token, _)| token).collect();
        for token in tokens {
            drop(self.remove(token));
        }
    }

    /// Begins some of the checks that are due.
    fn begin(&mut self) {
        for _ in 0..STARTS {
            let Some((probe, due)) = self.due.pop_front() else { break };
            let start = clock::now();
            self.schedule.begins(start, due);
            if let Err(outcome) = self.ask(probe, start) {
                self.observed(clock::now(), probe, start, outcome);
            }
        }
        for (token, outcome) in self.half_open.send() {
            self.end(clock::now(), token, outcome);
        }
    }

    fn ask(&mut self, place: Place, start: Instant) -> Result<(), Outcome> {
        let Some(Known { probe, source }) = self.schedule.get_mut(place) else { return Ok(()) };
        let running = self.running.vacant_entry();
        let token = running.key();
        self.generation = (self.generation + 1) % (1 << 31);
        let generation = self.generation;
        let asked = if let Spec::TcpHalfOpen = *probe.spec {
            Asked::HalfOpen(self.half_open.ask(&self.epoll, RAW, token, &probe.target, source)?)
        } else {
            let token = generation << 32 | token as u64;
            Asked::Connection(Connection::open(&probe.target, &self.epoll, token, &mut self.idle)?)
        };
        let deadline = start + probe.timeout;
        self.deadlines.insert((deadline, token));
        running.insert(Running { probe: place, start, deadline, generation, asked });
        Ok(())
    }

    fn ready(&mut self, now: Instant, event: u64, flags: EventFlags) {
        let token = event as u32 as usize;
        // It may have been stopped since the kernel has said so.
        let Some(Running { probe, generation, asked: Asked::Connection(connection), .. }) =
            self.running.get_mut(token)
        else {
            return;
        };
        if *generation != event >> 32 {
            return;
        }
        let Some(Known { probe, .. }) = self.schedule.get(*probe) else { return };
        if let Some(outcome) = connection.ready(flags, &probe.target, &probe.spec, &mut self.buffer) {
            self.end(now, token, outcome);
        }
    }

    fn hear(&mut self, now: Instant, socket: usize) {
        for (token, outcome) in self.half_open.hear(socket) {
            self.end(now, token, outcome);
        }
    }

    fn expire(&mut self, now: Instant, patience: Duration) {
        while let Some(&(deadline, token)) = self.deadlines.first()
            && deadline + patience <= now
        {
            let Running { start, asked, .. } = &self.running[token];
            let timeout = deadline - *start;
            let timed_out = || match asked {
                Asked::Connection(connection) => connection.timed_out(timeout),
                Asked::HalfOpen(asked) => self.half_open.timed_out(*asked),
            };
            let outcome = check::lag(now - deadline, timeout).unwrap_or_else(timed_out);
            self.end(now, token, outcome);
        }
    }

    fn end(&mut self, now: Instant, token: usize, outcome: Outcome) {
        let Running { probe, start, asked, .. } = self.remove(token);
        if let (Asked::Connection(connection), Outcome::Passed(_)) = (asked, &outcome)
            && let Some(socket) = connection.into_socket()
            && let Some(Known { probe, .. }) = self.schedule.get(probe)
        {
            self.idle.put(&probe.target, socket);
        }
        self.observed(now, probe, start, outcome);
    }

    fn remove(&mut self, token: usize) -> Running {
        let running = self.running.remove(token);
        self.deadlines.remove(&(running.deadline, token));
        if let Asked::HalfOpen(asked) = running.asked {
            self.half_open.forget(asked);
        }
        running
    }

    fn observed(&mut self, now: Instant, place: Place, start: Instant, outcome: Outcome) {
        let Some(probe) = self.schedule.id(place) else { return };
        let latency = now.saturating_duration_since(start);
        self.outbox.put(Observation { probe, outcome, latency });
        self.handle(now, Input::Finished(place));
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use rustix::event::{EventfdFlags, eventfd};
    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::Target;
    use crate::schedule::New;

    fn thread() -> (Thread, mpsc::Receiver<Vec<Observation>>) {
        let (settings, inbox) =
            (Settings { max_concurrent: 9, threads: 1, seed: 1 }, std::sync::mpsc::channel().1);
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK).unwrap());
        let (sender, receiver) = mpsc::channel(1);
        let thread = Thread::new(Share::Connecting(0), settings, inbox, (wake, Arc::default()), sender);
        (thread.unwrap(), receiver)
    }

    fn probe(address: SocketAddr) -> Arc<Probe> {
        let target = Target { address, bind: None, fwmark: None };
        let time = Duration::from_secs(5);
        Arc::new(Probe { id: 1, target, spec: Arc::new(Spec::Tcp), interval: time, timeout: time })
    }

    /// Begins a check of the only probe.
    fn ask(thread: &mut Thread, probe: Arc<Probe>, start: Instant) {
        let known = Known { probe: Arc::clone(&probe), source: Source::default() };
        let new = vec![New { id: probe.id, interval: probe.interval, value: known }];
        let gone = thread.schedule.ids().collect();
        let mut due = thread.schedule.handle(start, Input::Update { new, gone }).start;
        due.extend(thread.schedule.handle(start + probe.interval, Input::Tick).start);
        thread.ask(due[0].0, start).unwrap();
    }

    /// A server whose queue is full, so that no connection comes to be; and what keeps it so.
    fn silent() -> (SocketAddr, impl Sized) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        (address, (TcpStream::connect(address).unwrap(), listener))
    }

    #[test]
    fn an_event_of_the_check_before() {
        let (mut thread, _receiver) = thread();
        let live = TcpListener::bind("127.0.0.1:0").unwrap();
        ask(&mut thread, probe(live.local_addr().unwrap()), clock::now());
        let mut events = Vec::with_capacity(9);
        epoll::wait(&thread.epoll, spare_capacity(&mut events), None).unwrap();
        let event = events[0];
        drop(thread.remove(0));

        let (address, _full) = silent();
        ask(&mut thread, probe(address), clock::now());
        assert!(thread.running.contains(0), "it has the same place");
        thread.ready(clock::now(), event.data.u64(), event.flags);
        assert!(thread.running.contains(0), "nothing has been heard of this one");
    }

    /// What comes of one check after the other.
    fn outcome(
        thread: &mut Thread,
        receiver: &mut mpsc::Receiver<Vec<Observation>>,
        probe: Arc<Probe>,
    ) -> Outcome {
        let start = clock::now();
        ask(thread, probe, start);
        let mut events = Vec::with_capacity(BATCH);
        while !thread.running.is_empty() {
            events.clear();
            epoll::wait(&thread.epoll, spare_capacity(&mut events), None).unwrap();
            assert!(thread.look(start, &events));
        }
        let due = thread.outbox.deadline(start).unwrap();
        assert!(thread.outbox.flush(due));
        receiver.try_recv().unwrap().pop().unwrap().outcome
    }

    #[test]
    fn a_socket_for_one_check_after_the_other() {
        for (host, bind) in
            [("127.0.0.1:0", false), ("127.0.0.1:0", true), ("[::1]:0", false), ("[::1]:0", true)]
        {
            let (mut thread, mut receiver) = thread();
            let probe = |address: SocketAddr| {
                let probe = probe(address);
                let target = Target { bind: bind.then(|| address.ip()), ..probe.target };
                Arc::new(Probe { target, ..(*probe).clone() })
            };
            let passed = Outcome::Passed(String::new());
            let one = TcpListener::bind(host).unwrap();
            let at_one = probe(one.local_addr().unwrap());
            assert_eq!(outcome(&mut thread, &mut receiver, Arc::clone(&at_one)), passed);

            let marked = Target { fwmark: Some(1), ..at_one.target };
            assert!(thread.idle.take(&marked).is_none(), "it has no mark");
            let socket = thread.idle.take(&at_one.target).unwrap();
            assert!(socket.peer_addr().is_err(), "the connection has ended");
            let number = socket.as_raw_fd();
            thread.idle.put(&at_one.target, socket);

            let another = TcpListener::bind(host).unwrap();
            let at_another = probe(another.local_addr().unwrap());
            assert_eq!(outcome(&mut thread, &mut receiver, Arc::clone(&at_another)), passed);
            let socket = thread.idle.take(&at_another.target).unwrap();
            assert_eq!(socket.as_raw_fd(), number);
            assert!(thread.idle.take(&at_another.target).is_none());
            thread.idle.put(&at_another.target, socket);

            drop(another);
            assert_eq!(outcome(&mut thread, &mut receiver, at_another), Outcome::Refused);
            assert!(thread.idle.take(&at_one.target).is_none(), "only what has passed is used again");
        }
    }

    #[test]
    fn no_end_of_events() {
        let (mut thread, _receiver) = thread();
        let (address, _full) = silent();
        let start = clock::now();
        ask(&mut thread, probe(address), start);
        let deadline = start + Duration::from_secs(5);
        let nobodys = Event { flags: EventFlags::OUT, data: EventData::new_u64(1 << 20) };
        let events = [nobodys; BATCH];
        assert!(thread.look(deadline + Duration::from_millis(99), &events));
        assert!(thread.running.contains(0), "its answer may be among the next");
        assert!(thread.look(deadline + Duration::from_millis(100), &events));
        assert!(thread.running.is_empty());

        ask(&mut thread, probe(address), start);
        assert!(thread.look(deadline, &events[1..]));
        assert!(thread.running.is_empty());
    }
}
