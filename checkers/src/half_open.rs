//! Half-open checks: one SYN, and what comes in return. No connection is ever made, so that the server's program does
//! not hear of the check: for a SYN-ACK that nobody waits for, our own kernel sends a reset.
//!
//! One raw socket does it for all checks from one address with one mark, in batches.

mod raw;
mod segment;
mod sources;

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, EventData, EventFlags};

use self::raw::Raw;
pub(crate) use self::sources::Source;
use self::sources::Sources;
use crate::{Outcome, Target, failure};

/// The sockets, opened when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen {
    /// Per family, IPv4 or not, and mark.
    sources: Vec<((bool, Option<u32>), Sources)>,
    /// Per source and mark.
    sockets: Vec<((IpAddr, Option<u32>), Raw)>,
}

/// A SYN that is not answered yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    socket: usize,
    sequence: u32,
}

impl HalfOpen {
    /// Puts a SYN for the check `token` into the next batch; `source` is what was known of its source after the probe's
    /// check before, and is brought up to date. A socket's events have its number and `tokens` together.
    pub(crate) fn ask(
        &mut self,
        epoll: &OwnedFd,
        tokens: u64,
        token: usize,
        target: &Target,
        source: &mut Source,
    ) -> Result<Asked, Outcome> {
        let source = self.sources(target)?.of(target, source)?;
        let socket = self.socket(epoll, tokens, source, target.fwmark)?;
        let sequence = self.sockets[socket].1.ask(token, target.address, source);
        Ok(Asked { socket, sequence })
    }

    /// Sends what there is room for of the batches; the checks whose SYN could not be sent.
    pub(crate) fn send(&mut self) -> Vec<(usize, Outcome)> {
        self.sources.iter_mut().for_each(|(_, sources)| sources.doubt());
        self.sockets.iter_mut().flat_map(|(_, socket)| socket.send()).collect()
    }

    /// The checks whose answers have come to this socket.
    pub(crate) fn hear(&mut self, socket: usize) -> Vec<(usize, Outcome)> {
        self.sockets.get_mut(socket).map(|(_, socket)| socket.hear()).unwrap_or_default()
    }

    /// What it means that the time is over.
    pub(crate) fn timed_out(&self, asked: Asked) -> Outcome {
        let socket = self.sockets.get(asked.socket);
        socket.map_or(Outcome::ConnectTimeout, |(_, socket)| socket.timed_out(asked.sequence))
    }

    /// Whether some SYNs wait for room, to be [sent](Self::send) soon.
    pub(crate) fn is_behind(&self) -> bool {
        self.sockets.iter().any(|(_, socket)| socket.is_behind())
    }

    /// Nobody waits any more.
    pub(crate) fn forget(&mut self, asked: Asked) {
        if let Some((_, socket)) = self.sockets.get_mut(asked.socket) {
            socket.forget(asked.sequence);
        }
    }

    /// Closes all sockets, of which nobody waits for any.
    pub(crate) fn close(&mut self) {
        *self = Self::default();
    }

    fn sources(&mut self, target: &Target) -> Result<&mut Sources, Outcome> {
        let key @ (v4, mark) = (target.address.is_ipv4(), target.fwmark);
        let place = match self.sources.iter().position(|(it, _)| *it == key) {
            Some(place) => place,
            None => {
                self.sources.push((key, Sources::open(v4, mark)?));
                self.sources.len() - 1
            }
        };
        Ok(&mut self.sources[place].1)
    }

    fn socket(
        &mut self,
        epoll: &OwnedFd,
        tokens: u64,
        source: IpAddr,
        mark: Option<u32>,
    ) -> Result<usize, Outcome> {
        let key = (source, mark);
        if let Some(place) = self.sockets.iter().position(|(it, _)| *it == key) {
            return Ok(place);
        }
        let (socket, place) = (Raw::open(source, mark)?, self.sockets.len());
        epoll::add(epoll, socket.as_fd(), EventData::new_u64(tokens + place as u64), EventFlags::IN)
            .map_err(|error| failure::own(&error.into(), "watch a socket"))?;
        self.sockets.push((key, socket));
        Ok(place)
    }
}

/// What is made of a packet.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    for v4 in [true, false] {
        let _ = segment::answer(v4, bytes);
    }
}
