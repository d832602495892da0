//! A TCP or HTTP check under way: what the next event of its socket means.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::event::epoll::{self, EventData, EventFlags};
use socket2::Socket;

use super::idle::Idle;
use crate::http::Resumed;
use crate::trace::{Step, Trace};
use crate::{HttpSpec, Outcome, Spec, Target, failure, http, socket};

/// What is waited for on a socket, edge by edge.
const EVENTS: EventFlags =
    EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);
const FAILED: EventFlags = EventFlags::ERR.union(EventFlags::HUP);
const READABLE: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(FAILED);

pub(super) struct Connection {
    /// None once hyper has it.
    socket: Option<Socket>,
    step: At,
    epoll: Arc<OwnedFd>,
    token: u64,
}

enum At {
    Connecting,
    /// So many bytes of the request have been sent.
    Sending(usize),
    /// The request has been sent.
    Waiting,
    Resumed(Box<Resumed>),
}

impl Connection {
    /// Its events have this token.
    pub(super) fn open(
        target: &Target,
        epoll: &Arc<OwnedFd>,
        token: u64,
        idle: &mut Idle,
    ) -> Result<Self, Outcome> {
        let used = idle.take(target);
        let watch = if used.is_some() { epoll::modify } else { epoll::add };
        let socket = used.map_or_else(|| socket::stream(target), Ok)?;
        socket::dial_to_speak(&socket, target)?;
        watch(epoll, &socket, EventData::new_u64(token), EVENTS)
            .map_err(|error| failure::own(&error.into(), "watch a socket"))?;
        Ok(Self { socket: Some(socket), step: At::Connecting, epoll: Arc::clone(epoll), token })
    }

    /// The outcome, if there is one by now; `buffer` is for whoever needs it for a moment.
    pub(super) fn ready(
        &mut self,
        flags: EventFlags,
        target: &Target,
        spec: &Spec,
        buffer: &mut [u8],
    ) -> Option<Outcome> {
        self.go_on(flags, target, spec, buffer).unwrap_or_else(Some)
    }

    /// The socket for the next check, none if hyper has it.
    pub(super) fn into_socket(self) -> Option<Socket> {
        self.socket
    }

    /// What it means that the time is over.
    pub(super) fn timed_out(&self, timeout: Duration) -> Outcome {
        self.trace().timed_out(timeout)
    }

    /// An error is the outcome.
    fn go_on(
        &mut self,
        flags: EventFlags,
        target: &Target,
        spec: &Spec,
        buffer: &mut [u8],
    ) -> Result<Option<Outcome>, Outcome> {
        if let At::Resumed(resumed) = &mut self.step {
            return Ok(resumed.poll());
        }
        if let At::Connecting = self.step {
            if !flags.intersects(FAILED.union(EventFlags::OUT)) {
                return Ok(None);
            }
            self.connected(flags)?;
            self.step = At::Sending(0);
        }
        let Spec::Http(spec) = spec else { return Ok(Some(Outcome::Passed(String::new()))) };
        if let At::Sending(sent) = self.step {
            self.send(sent, target, spec)?;
        }
        match self.step {
            At::Waiting if flags.intersects(READABLE) => self.receive(target, spec, buffer),
            _ => Ok(None),
        }
    }

    fn connected(&self, flags: EventFlags) -> Result<(), Outcome> {
        let error = self.socket.as_ref().filter(|_| flags.intersects(FAILED)).map(Socket::take_error);
        match error {
            None | Some(Ok(None)) => Ok(()),
            Some(Ok(Some(error)) | Err(error)) => Err(failure::connecting(&error)),
        }
    }

    fn send(&mut self, sent: usize, target: &Target, spec: &HttpSpec) -> Result<(), Outcome> {
        let request = http::plain::request(spec, target.address)?;
        let Some(mut socket) = self.socket.as_ref() else { return Ok(()) };
        let more = match socket.write(&request[sent..]) {
            Ok(size) => size,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(self.trace().broken(&error)),
        };
        let sent = sent + more;
        self.step = if sent == request.len() { At::Waiting } else { At::Sending(sent) };
        Ok(())
    }

    fn receive(
        &mut self,
        target: &Target,
        spec: &HttpSpec,
        buffer: &mut [u8],
    ) -> Result<Option<Outcome>, Outcome> {
        let Some(mut socket) = self.socket.as_ref() else { return Ok(None) };
        let received = match socket.read(buffer) {
            Ok(0) => return Err(self.trace().broken(&ErrorKind::UnexpectedEof.into())),
            Ok(size) => &buffer[..size],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(self.trace().broken(&error)),
        };
        if let Some(outcome) = http::plain::answer(spec, received) {
            return Ok(Some(outcome));
        }
        let Some(socket) = self.socket.take() else { return Ok(None) };
        let received = Bytes::copy_from_slice(received);
        let (epoll, token) = (Arc::clone(&self.epoll), self.token);
        // What there is to read is an event anew.
        let again =
            move |socket: &Socket| Ok(epoll::modify(&epoll, socket, EventData::new_u64(token), EVENTS)?);
        let mut resumed = Box::new(Resumed::new(socket, received, *target, spec.clone(), again));
        let outcome = resumed.poll();
        self.step = At::Resumed(resumed);
        Ok(outcome)
    }

    /// How far it has come, for those few that do not end well.
    fn trace(&self) -> Trace {
        if let At::Resumed(resumed) = &self.step {
            return resumed.trace().clone();
        }
        let trace = Trace::new();
        if !matches!(self.step, At::Connecting) {
            trace.enter(Step::Header);
        }
        trace
    }
}
