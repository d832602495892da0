//! Bytes from one socket to another, one direction.
//!
//! Both sockets are registered edge-triggered, so what epoll has said is kept in flags until the socket
//! itself says otherwise. Nothing is read that the other side is not known to take, and what it then does
//! not take (at most one buffer) waits on the heap: memory is bounded, and a slow reader slows its sender.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

/// Bytes that one direction may move before the others have their turn.
const BUDGET: u64 = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Half {
    /// Read from the source, not yet taken by the sink; `sent` bytes of it are.
    pending: Vec<u8>,
    sent: usize,
    /// The source may have something.
    pub(crate) readable: bool,
    /// The sink may take something.
    pub(crate) writable: bool,
    /// The source has said that its end or an error lies behind what it has.
    pub(crate) ending: bool,
    /// The source's end has been read.
    ended: bool,
    /// And has been passed on.
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Bytes that the sink has taken.
    pub(crate) bytes: u64,
    /// The budget is spent and there may be more.
    pub(crate) more: bool,
}

impl Half {
    /// `first` is sent ahead of what the source says.
    pub(crate) fn new(first: Vec<u8>, readable: bool, ending: bool) -> Half {
        Half { pending: first, readable, ending, writable: true, ..Half::default() }
    }

    /// The end has been passed on: this direction is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The source will not say anything more that would be read.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Moves what can be moved now. An error of either socket ends the connection.
    pub(crate) fn pump(
        &mut self,
        source: BorrowedFd<'_>,
        sink: BorrowedFd<'_>,
        buffer: &mut [u8],
    ) -> Result<Moved, Errno> {
        let mut bytes = 0;
        loop {
            bytes += self.flush(sink)?;
            if !self.pending.is_empty() {
                return Ok(Moved { bytes, more: false });
            }
            if self.ended {
                self.pass_end(sink)?;
                return Ok(Moved { bytes, more: false });
            }
            if !self.readable || !self.writable {
                return Ok(Moved { bytes, more: false });
            }
            if bytes >= BUDGET {
                return Ok(Moved { bytes, more: true });
            }
            let received = self.read(source, buffer)?;
            bytes += self.write(sink, &buffer[..received])?;
        }
    }

    fn read(&mut self, source: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
        let length = buffer.len();
        match recv(source, &mut *buffer, RecvFlags::empty()) {
            Ok((_, 0)) => {
                self.ended = true;
                Ok(0)
            }
            Ok((received, _)) => {
                // A short read has emptied the socket, and what comes after it is a new edge. Only an end
                // that was announced before needs one more read.
                if received < length && !self.ending {
                    self.readable = false;
                }
                Ok(received)
            }
            Err(Errno::AGAIN) => {
                self.readable = false;
                Ok(0)
            }
            Err(Errno::INTR) => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, sink: BorrowedFd<'_>, bytes: &[u8]) -> Result<u64, Errno> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let taken = self.offer(sink, bytes)?;
        self.pending.extend_from_slice(&bytes[taken..]);
        Ok(taken as u64)
    }

    fn flush(&mut self, sink: BorrowedFd<'_>) -> Result<u64, Errno> {
        if self.pending.is_empty() || !self.writable {
            return Ok(0);
        }
        let pending = std::mem::take(&mut self.pending);
        let taken = self.offer(sink, &pending[self.sent..])?;
        self.sent += taken;
        if self.sent < pending.len() {
            self.pending = pending;
        } else {
            self.sent = 0;
        }
        Ok(taken as u64)
    }

    fn offer(&mut self, sink: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        match send(sink, bytes, SendFlags::NOSIGNAL) {
            Ok(taken) => {
                // Less than all: its buffer is full, and the room to come is a new edge.
                self.writable = taken == bytes.len();
                Ok(taken)
            }
            Err(Errno::AGAIN) => {
                self.writable = false;
                Ok(0)
            }
            Err(Errno::INTR) => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn pass_end(&mut self, sink: BorrowedFd<'_>) -> Result<(), Errno> {
        if !self.closed {
            self.closed = true;
            shutdown(sink, Shutdown::Write)?;
        }
        Ok(())
    }
}
