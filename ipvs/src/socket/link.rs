//! A netlink socket: messages out, answers in, each matched by its sequence number and within a deadline.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    ParseableParametrized,
};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::error::Fault;
use crate::clock;
use crate::wire::decode_datagram;

/// The most messages in one send. The kernel queues an answer to each before any can be read: at less than 1.5 KB of its
/// accounting each they fit even the default receive buffer of 208 KB.
pub(super) const BATCH: usize = 128;

/// The kernel fills dumps of up to 32 KB where the reader has that much room.
const RECEIVE: usize = 64 * 1024;

/// One of a family's own messages, whatever it is.
pub(super) trait Content:
    GenlFamily + Emitable + ParseableParametrized<[u8], GenlHeader> + Debug
{
}
impl<M: GenlFamily + Emitable + ParseableParametrized<[u8], GenlHeader> + Debug> Content for M {}

/// A socket connected to the kernel, so that nobody else can send to it.
pub(super) struct Link {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Link {
    pub(super) fn open() -> Result<Self, Fault> {
        let open = || {
            let mut socket = Socket::new(NETLINK_GENERIC)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // Errors without a copy of the message: acknowledgements have one size.
            socket.set_cap_ack(true)?;
            Ok(socket)
        };
        let socket = open().map_err(from_io)?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(RECEIVE) })
    }

    /// Sends commands together; what the kernel said to each. It speaks of errors only: an acknowledgement of each would
    /// cost more than the commands. So one whose handling was interrupted, to which it says nothing either, counts as
    /// done: that befalls only who is being killed, and the stop of a thread of the kernel's that had not yet begun.
    pub(super) fn exchange<M: Content>(
        &mut self,
        family: u16,
        messages: Vec<M>,
        deadline: Instant,
    ) -> Result<Vec<Result<(), Errno>>, Fault> {
        let answers = self.converse(family, messages, deadline)?;
        Ok(answers.into_iter().map(|answer| answer.map(drop)).collect())
    }

    /// Asks questions together that have one answer each.
    pub(super) fn ask<M: Content>(
        &mut self,
        family: u16,
        messages: Vec<M>,
        deadline: Instant,
    ) -> Result<Vec<Result<M, Errno>>, Fault> {
        let answers = self.converse(family, messages, deadline)?;
        Ok(answers.into_iter().map(|answer| answer?.ok_or(Errno::INTR)).collect())
    }

    /// An empty message comes last, which the kernel always acknowledges: whoever has no answer by then gets none.
    fn converse<M: Content>(
        &mut self,
        family: u16,
        messages: Vec<M>,
        deadline: Instant,
    ) -> Result<Vec<Result<Option<M>, Errno>>, Fault> {
        let mut answers: Vec<_> = messages.iter().map(|_| Ok(None)).collect();
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        for message in messages {
            self.append(&mut bytes, inner(family, message), NLM_F_REQUEST);
        }
        let last = self.append(&mut bytes, NetlinkPayload::<GenlMessage<M>>::Noop, NLM_F_REQUEST | NLM_F_ACK);
        self.send(&bytes, deadline)?;
        loop {
            for received in self.receive::<M>(deadline)? {
                let sequence_number = received.header.sequence_number;
                let answer = match received.payload {
                    NetlinkPayload::Error(_) if sequence_number == last => return Ok(answers),
                    NetlinkPayload::Error(answer) => outcome(answer.raw_code()).map(|()| None),
                    NetlinkPayload::InnerMessage(message) => Ok(Some(message.payload)),
                    _ => continue,
                };
                let place = usize::try_from(sequence_number.wrapping_sub(first)).unwrap_or(usize::MAX);
                if let Some(place) = answers.get_mut(place) {
                    *place = answer;
                }
            }
            in_time(deadline)?;
        }
    }

    /// Asks for everything of a kind.
    pub(super) fn dump<M: Content>(
        &mut self,
        family: u16,
        message: M,
        deadline: Instant,
    ) -> Result<Vec<M>, Fault> {
        let mut bytes = Vec::new();
        let asked = self.append(&mut bytes, inner(family, message), NLM_F_REQUEST | NLM_F_DUMP);
        self.send(&bytes, deadline)?;
        let mut answers = Vec::new();
        let code = 'answered: loop {
            for received in self.receive::<M>(deadline)? {
                if received.header.sequence_number != asked {
                    continue;
                }
                match received.payload {
                    NetlinkPayload::InnerMessage(message) => answers.push(message.payload),
                    NetlinkPayload::Done(done) => break 'answered done.code,
                    NetlinkPayload::Error(error) => break 'answered error.raw_code(),
                    _ => {}
                }
            }
            in_time(deadline)?;
        };
        outcome(code).map(|()| answers).map_err(Fault::general)
    }

    /// Adds a message to what is to be sent; its sequence number.
    fn append<M: Content>(
        &mut self,
        bytes: &mut Vec<u8>,
        payload: NetlinkPayload<GenlMessage<M>>,
        flags: u16,
    ) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, payload);
        message.finalize();
        let start = bytes.len();
        // Every message is a multiple of 4 bytes long, as netlink wants it.
        bytes.resize(start + message.buffer_len(), 0);
        message.serialize(&mut bytes[start..]);
        self.sequence
    }

    fn send(&self, bytes: &[u8], deadline: Instant) -> Result<(), Fault> {
        loop {
            in_time(deadline)?;
            match self.socket.send(bytes, 0).map_err(from_io) {
                Ok(_) => return Ok(()),
                Err(Fault::Kernel(Errno::INTR)) => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The messages of the next datagram.
    fn receive<M: Content>(
        &mut self,
        deadline: Instant,
    ) -> Result<Vec<NetlinkMessage<GenlMessage<M>>>, Fault> {
        self.read(deadline)?;
        decode_datagram(&self.buffer).map_err(|error| Fault::Malformed(error.to_string()))
    }

    /// Fills the buffer with the next datagram. One that is there is taken even after the deadline: the kernel
    /// may have loaded a module before it answered.
    fn read(&mut self, deadline: Instant) -> Result<(), Fault> {
        loop {
            self.buffer.clear();
            // MSG_TRUNC: the datagram's whole length is returned, even if it is longer than the buffer.
            match self.socket.recv(&mut self.buffer, libc::MSG_DONTWAIT | libc::MSG_TRUNC).map_err(from_io) {
                Ok(length) if length > self.buffer.len() => {
                    return Err(Fault::Malformed(format!("{length} bytes at once")));
                }
                Ok(_) => return Ok(()),
                Err(Fault::Kernel(Errno::AGAIN)) => self.wait(deadline)?,
                Err(Fault::Kernel(Errno::INTR)) => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    fn wait(&self, deadline: Instant) -> Result<(), Fault> {
        let timeout = Timespec::try_from(in_time(deadline)?).ok();
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(Fault::Kernel(errno)),
        }
    }
}

/// The time that is left, if any.
fn in_time(deadline: Instant) -> Result<Duration, Fault> {
    let left = deadline.saturating_duration_since(clock::now());
    if left.is_zero() { Err(Fault::TimedOut) } else { Ok(left) }
}

fn inner<M: Content>(family: u16, message: M) -> NetlinkPayload<GenlMessage<M>> {
    let mut message = GenlMessage::from_payload(message);
    message.set_resolved_family_id(family);
    message.into()
}

/// The kernel's code of an answer: 0 or a negative error number.
fn outcome(code: i32) -> Result<(), Errno> {
    if code == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(code.saturating_abs())) }
}

fn from_io(error: std::io::Error) -> Fault {
    Fault::general(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

#[cfg(test)]
mod tests;
