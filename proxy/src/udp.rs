//! All UDP sessions of one thread.
//!
//! A session is a client's address at a service, with a socket of its own that is connected to the real
//! server; answers leave by the listening socket, so that they come from the address that was asked. All
//! datagrams of a client come to the same thread because the kernel spreads over the listeners by address.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, connect, recv, send};
use slab::Slab;

use crate::Protocol;
use crate::clock::{Millis, millis};
use crate::connection::Upstream;
use crate::core::{Core, is_exhausted, is_ours};
use crate::datagram::{self, Datagram};
use crate::listener::new_socket;
use crate::services::Services;
use crate::timer::Wheel;
use crate::token::{Serial, Token};

/// Datagrams taken from one socket before the others have their turn.
const BUDGET: usize = 64;

pub(crate) struct Udp {
    sessions: Slab<Session>,
    by_client: HashMap<Origin, usize>,
    timers: Wheel,
}

/// What makes a datagram part of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Origin {
    service: usize,
    client: SocketAddr,
    /// Told apart where the listener has many addresses.
    asked: Option<IpAddr>,
}

struct Session {
    serial: Serial,
    origin: Origin,
    upstream: Upstream,
    last: Millis,
}

impl Udp {
    pub(crate) fn new(now: Millis) -> Udp {
        Udp { sessions: Slab::new(), by_client: HashMap::new(), timers: Wheel::new(now) }
    }

    /// Takes clients' datagrams from a listener.
    pub(crate) fn receive(&mut self, core: &mut Core, services: &mut Services, service: usize) {
        for _ in 0..BUDGET {
            let Some(entry) = services.get(service) else { return };
            let Some(listener) = &entry.listener else { return };
            let wildcard = entry.pool.service.key.listen.ip().is_unspecified();
            match datagram::receive(listener, wildcard, &mut core.buffer) {
                Ok(Some(datagram)) => self.forward(core, services, service, datagram),
                Err(Errno::AGAIN) => return,
                // An answer that a client did not want; the next call has the next datagram.
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// Sends what is in the buffer to the session's real server, and to another if that one is found to have
    /// refused what came before.
    fn forward(&mut self, core: &mut Core, services: &mut Services, service: usize, datagram: Datagram) {
        let origin = Origin { service, client: datagram.from, asked: datagram.asked };
        let mut tried = Vec::new();
        loop {
            let found = self.by_client.get(&origin).copied();
            let Some(index) = found.or_else(|| self.begin(core, services, origin, &mut tried)) else {
                return;
            };
            let session = &mut self.sessions[index];
            match send(&session.upstream.socket, &core.buffer[..datagram.length], SendFlags::empty()) {
                Ok(sent) => {
                    session.last = core.now;
                    session.upstream.place.slot().cells.of(core.thread).bytes_in.add(sent as u64);
                    return;
                }
                Err(error) if is_refusal(error) => {
                    tried.push(session.upstream.place.slot().address);
                    self.refused(core, services, index);
                }
                // No room or too long: a datagram is lost, as on any network.
                Err(_) => return,
            }
        }
    }

    fn begin(
        &mut self,
        core: &mut Core,
        services: &mut Services,
        origin: Origin,
        tried: &mut Vec<SocketAddr>,
    ) -> Option<usize> {
        let entry = services.get(origin.service)?;
        let cells = entry.pool.cells.of(core.thread);
        if !has_room(core) {
            cells.over_limit.add(1);
            return None;
        }
        cells.accepted.add(u64::from(tried.is_empty()));
        let serial = core.serial.advance();
        let index = self.sessions.vacant_key();
        let upstream = loop {
            let Some(place) = entry.pool.choose(&mut entry.cursor, origin.client, tried, core.now) else {
                cells.no_destination.add(1);
                return None;
            };
            let slot = place.slot();
            let counted = slot.cells.of(core.thread);
            match dial(core, slot.address, Token::Session(index, serial)) {
                Ok(socket) => {
                    counted.begun.add(1);
                    counted.connections.add(1);
                    break Upstream { socket, place };
                }
                Err(error) if is_exhausted(error) => {
                    cells.over_limit.add(1);
                    return None;
                }
                Err(error) => {
                    counted.begun.add(u64::from(!is_ours(error)));
                    counted.connect_failures.add(u64::from(!is_ours(error)));
                    tried.push(slot.address);
                }
            }
        };
        self.timers.set(index, core.now.saturating_add(millis(entry.pool.service.idle_timeout)));
        self.sessions.insert(Session { serial, origin, upstream, last: core.now });
        self.by_client.insert(origin, index);
        services.enter(origin.service);
        core.open().sessions.add(1);
        Some(index)
    }

    /// Takes a real server's answers.
    pub(crate) fn answer(&mut self, core: &mut Core, services: &mut Services, index: usize, serial: Serial) {
        let Some(session) = self.sessions.get_mut(index).filter(|session| session.serial == serial) else {
            return;
        };
        let Some(entry) = services.get(session.origin.service) else { return };
        let Some(listener) = &entry.listener else { return };
        for _ in 0..BUDGET {
            match recv(&session.upstream.socket, &mut *core.buffer, RecvFlags::empty()) {
                Ok((_, length)) => {
                    session.last = core.now;
                    let Origin { client, asked, .. } = session.origin;
                    // An answer that cannot be sent is lost, as on any network.
                    if datagram::reply(listener, &core.buffer[..length], client, asked).is_ok() {
                        let cells = session.upstream.place.slot().cells.of(core.thread);
                        cells.bytes_out.add(length as u64);
                    }
                }
                Err(Errno::AGAIN) => return,
                // A route with a smaller MTU has been found: later datagrams are cut to it.
                Err(Errno::INTR | Errno::MSGSIZE) => {}
                Err(_) => return self.refused(core, services, index),
            }
        }
    }

    /// The real server's host has said that nobody is there: the client's next datagram begins anew.
    fn refused(&mut self, core: &mut Core, services: &mut Services, index: usize) {
        if let Some(session) = self.sessions.get(index) {
            session.upstream.place.slot().cells.of(core.thread).connect_failures.add(1);
        }
        self.end(core, services, index);
    }

    pub(crate) fn expire(&mut self, core: &mut Core, services: &mut Services) {
        while let Some(index) = self.timers.due(core.now) {
            let Some(session) = self.sessions.get(index) else { continue };
            let Some(entry) = services.get(session.origin.service) else { continue };
            let deadline = session.last.saturating_add(millis(entry.pool.service.idle_timeout));
            if deadline > core.now {
                self.timers.set(index, deadline);
            } else {
                self.end(core, services, index);
            }
        }
    }

    pub(crate) fn next_timer(&self) -> Option<Millis> {
        self.timers.next()
    }

    /// Ends the sessions with destinations that have died, each named with its service.
    pub(crate) fn end_dead(
        &mut self,
        core: &mut Core,
        services: &mut Services,
        dead: &BTreeSet<(usize, SocketAddr)>,
    ) {
        self.end_where(core, services, |session| {
            dead.contains(&(session.origin.service, session.upstream.place.slot().address))
        });
    }

    /// Ends all sessions of a service, whose answers could not be sent without its listener.
    pub(crate) fn end_service(&mut self, core: &mut Core, services: &mut Services, service: usize) {
        self.end_where(core, services, |session| session.origin.service == service);
    }

    fn end_where(&mut self, core: &mut Core, services: &mut Services, condition: impl Fn(&Session) -> bool) {
        let hit: Vec<usize> =
            self.sessions.iter().filter(|(_, session)| condition(session)).map(|hit| hit.0).collect();
        for index in hit {
            self.end(core, services, index);
        }
    }

    fn end(&mut self, core: &mut Core, services: &mut Services, index: usize) {
        let Some(Session { origin, upstream, .. }) = self.sessions.try_remove(index) else { return };
        self.timers.clear(index);
        self.by_client.remove(&origin);
        // Its place is free before it is no longer counted.
        drop(upstream);
        core.open().sessions.subtract(1);
        services.leave(origin.service);
    }
}

/// Sessions may take half of the limit, so that forged datagrams cannot keep connections out.
fn has_room(core: &Core) -> bool {
    let limit = core.shared.limit.load(Ordering::Relaxed);
    core.has_room() && core.shared.sessions() < limit.div_ceil(2)
}

fn dial(core: &Core, address: SocketAddr, token: Token) -> Result<OwnedFd, Errno> {
    let socket = new_socket(address, Protocol::Udp)?;
    connect(&socket, &address)?;
    core.register(&socket, token, EventFlags::IN)?;
    Ok(socket)
}

fn is_refusal(error: Errno) -> bool {
    matches!(error, Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH)
}
