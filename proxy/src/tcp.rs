//! All TCP connections of one thread.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with, connect, getsockname, sockopt};
use slab::Slab;

use crate::clock::{Millis, millis};
use crate::connection::{Attempt, Connection, Flow, Phase, Upstream};
use crate::core::{Core, is_exhausted, is_ours};
use crate::listener::{new_socket, set_carrying};
use crate::proxy_protocol;
use crate::pump::Half;
use crate::services::Services;
use crate::timer::Wheel;
use crate::token::{Serial, Token};
use crate::{Protocol, Service};

/// Connections accepted from one listener before the others have their turn.
pub(crate) const ACCEPTS: usize = 64;
/// Connections for which room is made at the start; beyond it the storage grows as needed.
const CAPACITY: usize = 16 * 1024;

pub(crate) struct Tcp {
    connections: Slab<Connection>,
    timers: Wheel,
    /// Connections that have spent their budget and have more to move.
    ready: VecDeque<(usize, Serial)>,
}

/// What is left in a listener's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    Empty,
    More,
    /// No descriptor to accept with.
    Stuck,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Both directions are over.
    Orderly,
    /// By RST, so that nobody takes what he got for the whole.
    Reset,
}

impl Tcp {
    pub(crate) fn new(now: Millis) -> Tcp {
        Tcp { connections: Slab::with_capacity(CAPACITY), timers: Wheel::new(now), ready: VecDeque::new() }
    }

    pub(crate) fn accept(&mut self, core: &mut Core, services: &mut Services, service: usize) -> Queue {
        for _ in 0..ACCEPTS {
            let Some(entry) = services.get(service) else { return Queue::Empty };
            let Some(listener) = &entry.listener else { return Queue::Empty };
            match acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((client, peer)) => {
                    let cells = entry.pool.cells.of(core.thread);
                    match peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
                        Some(peer) if core.has_room() => {
                            cells.accepted.add(1);
                            self.begin(core, services, service, client, peer);
                        }
                        _ => {
                            cells.over_limit.add(1);
                            reset(&client);
                        }
                    }
                }
                Err(Errno::AGAIN) => return Queue::Empty,
                Err(error) if is_exhausted(error) => return Queue::Stuck,
                // The client has gone, or one of the network errors that accept(2) says to retry on.
                Err(_) => {}
            }
        }
        Queue::More
    }

    fn begin(
        &mut self,
        core: &mut Core,
        services: &mut Services,
        service: usize,
        client: OwnedFd,
        peer: SocketAddr,
    ) {
        let Some(entry) = services.get(service) else { return };
        let deadline = core.now.saturating_add(millis(entry.pool.service.connect_timeout));
        services.enter(service);
        core.open().connections.add(1);
        // Each attempt has its own.
        let serial = Serial::default();
        let phase =
            Phase::Connecting(Attempt { peer, deadline, upstream: None, until: deadline, tried: Vec::new() });
        let index = self.connections.insert(Connection { serial, service, client, phase });
        self.attempt(core, services, index);
    }

    /// Turns to the next destination, or turns the client away.
    fn attempt(&mut self, core: &mut Core, services: &mut Services, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Phase::Connecting(attempt) = &mut connection.phase else { return };
        let Some(entry) = services.get(connection.service) else { return };
        let cells = entry.pool.cells.of(core.thread);
        while core.now < attempt.deadline {
            let Some(place) = entry.pool.choose(&mut entry.cursor, attempt.peer, &attempt.tried, core.now)
            else {
                break;
            };
            let address = place.slot().address;
            let counted = place.slot().cells.of(core.thread);
            connection.serial = core.serial.advance();
            match dial(core, address, Token::Server(index, connection.serial)) {
                Ok(socket) => {
                    counted.begun.add(1);
                    attempt.upstream = Some(Upstream { socket, place });
                    // While there are others, one that does not answer must leave time for them.
                    let left = attempt.deadline - core.now;
                    let share = if entry.pool.has_other(&attempt.tried, address) { left / 2 } else { left };
                    attempt.until = core.now + share.max(1);
                    self.timers.set(index, attempt.until);
                    return;
                }
                Err(error) if is_exhausted(error) => {
                    cells.over_limit.add(1);
                    return self.end(core, services, index, End::Reset);
                }
                Err(error) => {
                    if !is_ours(error) {
                        counted.begun.add(1);
                        counted.connect_failures.add(1);
                    }
                    attempt.tried.push(address);
                }
            }
        }
        cells.no_destination.add(1);
        self.end(core, services, index, End::Reset);
    }

    /// The attempt under way has come to nothing, for a reason of the destination's.
    fn failed(&mut self, core: &mut Core, services: &mut Services, index: usize) {
        if let Some(Connection { phase: Phase::Connecting(attempt), .. }) = self.connections.get_mut(index)
            && let Some(upstream) = attempt.upstream.take()
        {
            let slot = upstream.place.slot();
            slot.cells.of(core.thread).connect_failures.add(1);
            attempt.tried.push(slot.address);
        }
        self.attempt(core, services, index);
    }

    pub(crate) fn event(
        &mut self,
        core: &mut Core,
        services: &mut Services,
        token: Token,
        flags: EventFlags,
    ) {
        let (Token::Client(index, serial) | Token::Server(index, serial)) = token else { return };
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.serial != serial {
            return;
        }
        match &mut connection.phase {
            Phase::Connecting(attempt) => {
                let Some(upstream) = &attempt.upstream else { return };
                match sockopt::socket_error(&upstream.socket) {
                    Ok(Ok(())) if flags.contains(EventFlags::HUP) => self.failed(core, services, index),
                    Ok(Ok(())) if flags.contains(EventFlags::OUT) => {
                        self.establish(core, services, index, flags)
                    }
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => self.failed(core, services, index),
                }
            }
            Phase::Established(flow) => {
                let (reading, writing) = match token {
                    Token::Client(..) => (&mut flow.up, &mut flow.down),
                    _ => (&mut flow.down, &mut flow.up),
                };
                let broken = flags.contains(EventFlags::ERR);
                if broken && reading.has_ended() {
                    // Nobody would read the error.
                    return self.end(core, services, index, End::Reset);
                }
                let ending = flags.intersects(ENDING);
                reading.ending |= ending;
                reading.readable |= ending || flags.contains(EventFlags::IN);
                writing.writable |= flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR);
                self.carry(core, services, index);
            }
        }
    }

    fn establish(&mut self, core: &mut Core, services: &mut Services, index: usize, flags: EventFlags) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Phase::Connecting(attempt) = &mut connection.phase else { return };
        let Some(upstream) = attempt.upstream.take() else { return };
        let Some(entry) = services.get(connection.service) else { return };
        upstream.place.slot().cells.of(core.thread).connections.add(1);
        let first = first_bytes(&entry.pool.service, &connection.client, attempt.peer);
        // A client mostly speaks first, and by now it has.
        let up = Half::new(first, true, false);
        let down = Half::new(Vec::new(), flags.contains(EventFlags::IN), flags.intersects(ENDING));
        connection.phase = Phase::Established(Flow { upstream, up, down, last: core.now, queued: false });
        self.timers.set(index, core.now.saturating_add(millis(entry.pool.service.idle_timeout)));
        let token = Token::Client(index, connection.serial);
        if core.register(&connection.client, token, BOTH_WAYS).is_err() {
            return self.end(core, services, index, End::Reset);
        }
        self.carry(core, services, index);
    }

    fn carry(&mut self, core: &mut Core, services: &mut Services, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Phase::Established(flow) = &mut connection.phase else { return };
        let (client, server) = (connection.client.as_fd(), flow.upstream.socket.as_fd());
        let up = flow.up.pump(client, server, &mut core.buffer, &mut core.pipes);
        let down = flow.down.pump(server, client, &mut core.buffer, &mut core.pipes);
        if up.bytes + down.bytes > 0 {
            flow.last = core.now;
            let cells = flow.upstream.place.slot().cells.of(core.thread);
            cells.bytes_in.add(up.bytes);
            cells.bytes_out.add(down.bytes);
        }
        let (Ok(up), Ok(down)) = (up.more, down.more) else {
            return self.end(core, services, index, End::Reset);
        };
        if flow.up.is_closed() && flow.down.is_closed() {
            return self.end(core, services, index, End::Orderly);
        }
        if (up || down) && !flow.queued {
            flow.queued = true;
            self.ready.push_back((index, connection.serial));
        }
    }

    /// Another turn for each connection that has more to move. True if some have still.
    pub(crate) fn go_on(&mut self, core: &mut Core, services: &mut Services) -> bool {
        for _ in 0..self.ready.len() {
            let Some((index, serial)) = self.ready.pop_front() else { break };
            match self.connections.get_mut(index) {
                Some(Connection { serial: current, phase: Phase::Established(flow), .. })
                    if *current == serial =>
                {
                    flow.queued = false;
                    self.carry(core, services, index);
                }
                _ => {}
            }
        }
        !self.ready.is_empty()
    }

    pub(crate) fn expire(&mut self, core: &mut Core, services: &mut Services) {
        while let Some(index) = self.timers.due(core.now) {
            let Some(connection) = self.connections.get(index) else { continue };
            let deadline = match &connection.phase {
                Phase::Connecting(attempt) => attempt.until,
                Phase::Established(flow) => {
                    let idle = services.get(connection.service).map(|entry| entry.pool.service.idle_timeout);
                    flow.last.saturating_add(idle.map_or(0, millis))
                }
            };
            if deadline > core.now {
                self.timers.set(index, deadline);
            } else if matches!(connection.phase, Phase::Connecting(_)) {
                self.failed(core, services, index);
            } else {
                self.end(core, services, index, End::Reset);
            }
        }
    }

    pub(crate) fn next_timer(&self) -> Option<Millis> {
        self.timers.next()
    }

    /// Resets the connections to destinations that have died, each named with its service.
    pub(crate) fn reset_dead(
        &mut self,
        core: &mut Core,
        services: &mut Services,
        dead: &BTreeSet<(usize, SocketAddr)>,
    ) {
        let to_dead = |connection: &Connection| {
            connection.destination().is_some_and(|address| dead.contains(&(connection.service, address)))
        };
        let hit: Vec<usize> =
            self.connections.iter().filter(|(_, connection)| to_dead(connection)).map(|hit| hit.0).collect();
        for index in hit {
            match self.connections.get(index).map(|connection| &connection.phase) {
                Some(Phase::Connecting(_)) => self.failed(core, services, index),
                Some(Phase::Established(_)) => self.end(core, services, index, End::Reset),
                None => {}
            }
        }
    }

    pub(crate) fn reset_all(&mut self, core: &mut Core, services: &mut Services) {
        let all: Vec<usize> = self.connections.iter().map(|(index, _)| index).collect();
        for index in all {
            self.end(core, services, index, End::Reset);
        }
    }

    fn end(&mut self, core: &mut Core, services: &mut Services, index: usize, how: End) {
        let Some(mut connection) = self.connections.try_remove(index) else { return };
        self.timers.clear(index);
        if how == End::Reset {
            reset(&connection.client);
        }
        if let Phase::Established(flow) = &mut connection.phase {
            flow.up.abandon(&mut core.pipes);
            flow.down.abandon(&mut core.pipes);
            if how == End::Reset {
                reset(&flow.upstream.socket);
            }
        }
        let service = connection.service;
        // Its place is free and its sockets are closed before it is no longer counted.
        drop(connection);
        core.open().connections.subtract(1);
        services.leave(service);
    }
}

const BOTH_WAYS: EventFlags = EventFlags::IN
    .union(EventFlags::OUT)
    .union(EventFlags::PRI)
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);
/// An end, an error, or urgent data, at which a read stops although there is more.
const ENDING: EventFlags =
    EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR).union(EventFlags::PRI);

fn dial(core: &Core, address: SocketAddr, token: Token) -> Result<OwnedFd, Errno> {
    let socket = new_socket(address, Protocol::Tcp)?;
    set_carrying(&socket)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    core.register(&socket, token, BOTH_WAYS)?;
    Ok(socket)
}

fn first_bytes(service: &Service, client: &OwnedFd, peer: SocketAddr) -> Vec<u8> {
    let Some(version) = service.proxy_protocol else { return Vec::new() };
    // A wildcard listener's clients have come to one address of many.
    let asked = getsockname(client).ok().and_then(|address| SocketAddr::try_from(address).ok());
    proxy_protocol::header(version, peer, asked.unwrap_or(service.key.listen))
}

/// Makes the close to come send an RST. If that fails it sends a FIN: nothing better can be done.
fn reset(socket: &OwnedFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::cells::PerThread;
    use crate::clock::Clock;
    use crate::core::Shared;
    use crate::pool::Pool;
    use crate::slots::Slots;
    use crate::{Destination, OnDown, Scheduler, SchedulerFlags, ServiceKey};

    /// A publish in the middle of a batch may end an attempt whose event is still to come in it.
    #[test]
    fn an_event_of_an_earlier_attempt_says_nothing_of_the_next() {
        let servers = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let key = ServiceKey { protocol: Protocol::Tcp, listen: listener.local_addr().unwrap() };
        let _client = TcpStream::connect(key.listen).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        accepted.set_nonblocking(true).unwrap();

        let destination = |server: &TcpListener| Destination {
            address: server.local_addr().unwrap(),
            weight: 1,
            max_connections: 0,
            alive: true,
        };
        let service = Arc::new(Service {
            key,
            group: "web".into(),
            scheduler: Scheduler::RoundRobin,
            scheduler_flags: SchedulerFlags::default(),
            persistence: None,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(5),
            proxy_protocol: None,
            on_down: OnDown::Reset,
            destinations: servers.iter().map(destination).collect(),
            overflow: None,
        });
        let mut slots = Slots::new(1);
        let mut services = Services::default();
        services.put(&Pool::compile(&service, None, &mut slots), 0);
        let (index, _) = services.find(key).unwrap();
        let shared =
            Shared { clock: Clock::start(), open: PerThread::new(1), limit: AtomicU64::new(1), pipes: 0 };
        let mut core = Core::new(0, Arc::new(shared)).unwrap();
        let mut tcp = Tcp::new(core.now);
        tcp.begin(&mut core, &mut services, index, accepted.into(), peer);

        let earlier = Token::Server(0, tcp.connections[0].serial);
        let first = tcp.connections[0].destination();
        tcp.reset_dead(&mut core, &mut services, &BTreeSet::from([(index, first.unwrap())]));
        let second = tcp.connections[0].destination();
        assert!(second.is_some() && second != first);
        tcp.event(&mut core, &mut services, earlier, EventFlags::OUT | EventFlags::HUP);
        assert_eq!(tcp.connections[0].destination(), second);
        assert!(matches!(tcp.connections[0].phase, Phase::Connecting(_)));
        let now = Token::Server(0, tcp.connections[0].serial);
        tcp.event(&mut core, &mut services, now, EventFlags::OUT);
        assert!(matches!(tcp.connections[0].phase, Phase::Established(_)));
    }
}
