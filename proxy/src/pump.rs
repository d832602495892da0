//! Bytes from one socket to another, one direction.
//!
//! Both sockets are registered edge-triggered, so what epoll has said is kept in flags until the socket
//! itself says otherwise. Nothing is read that the other side is not known to take, and what it then does
//! not take (at most one buffer) waits on the heap: memory is bounded, and a slow reader slows its sender.
//! A read that fills the buffer is taken for bulk, which goes on through a pipe for as long as it lasts.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use crate::pipe::{Pipe, Pipes};

/// Bytes that one direction may move before the others have their turn.
const BUDGET: u64 = 256 * 1024;

#[derive(Default)]
pub(crate) struct Half {
    /// Read from the source, not yet taken by the sink; `sent` bytes of it are.
    pending: Vec<u8>,
    sent: usize,
    /// While there is bulk.
    pipe: Option<Box<Pipe>>,
    /// The source may have something.
    pub(crate) readable: bool,
    /// The sink may take something.
    pub(crate) writable: bool,
    /// The source has said that its end, an error or urgent data lies in or behind what it has, so that a
    /// short read is no sign that it is empty.
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
    /// Whether the budget is spent and there may be more. An error of either socket ends the connection.
    pub(crate) more: Result<bool, Errno>,
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

    /// Moves what can be moved now.
    pub(crate) fn pump(
        &mut self,
        source: BorrowedFd<'_>,
        sink: BorrowedFd<'_>,
        buffer: &mut [u8],
        pipes: &mut Pipes,
    ) -> Moved {
        let mut bytes = 0;
        let more = loop {
            match self.step(source, sink, buffer, pipes, &mut bytes) {
                Ok(true) if bytes >= BUDGET => break Ok(true),
                Ok(true) => {}
                other => break other,
            }
        };
        if more != Ok(true) && self.pipe.as_ref().is_some_and(|pipe| pipe.is_empty()) {
            self.abandon(pipes);
        }
        Moved { bytes, more }
    }

    /// One read, and one write of what was read before. False when neither side can go on.
    fn step(
        &mut self,
        source: BorrowedFd<'_>,
        sink: BorrowedFd<'_>,
        buffer: &mut [u8],
        pipes: &mut Pipes,
        bytes: &mut u64,
    ) -> Result<bool, Errno> {
        self.flush(sink, bytes)?;
        if self.is_waiting() {
            return Ok(false);
        }
        if self.ended {
            self.pass_end(sink)?;
            return Ok(false);
        }
        if !self.readable || !self.writable {
            return Ok(false);
        }
        if let Some(pipe) = &mut self.pipe {
            match pipe.fill(source) {
                // splice does not go past urgent data, and calls it the end if that lies behind. recv knows.
                Ok(0) => self.abandon(pipes),
                Err(Errno::AGAIN) if self.ending => self.abandon(pipes),
                filled => {
                    self.note_read(filled)?;
                    return Ok(true);
                }
            }
        }
        let received = recv(source, &mut *buffer, RecvFlags::empty()).map(|(_, received)| received);
        let received = self.note_read(received)?;
        self.write(sink, &buffer[..received], bytes)?;
        if received == buffer.len() {
            self.pipe = pipes.borrow().map(Box::new);
        } else if !self.ending {
            // A short read has emptied the socket, and what comes after it is a new edge. Only what was
            // announced before needs one more read.
            self.readable = false;
        }
        Ok(true)
    }

    /// Gives the pipe back, whatever is in it.
    pub(crate) fn abandon(&mut self, pipes: &mut Pipes) {
        if let Some(pipe) = self.pipe.take() {
            pipes.give_back(*pipe);
        }
    }

    /// There is something that the sink has not taken.
    fn is_waiting(&self) -> bool {
        !self.pending.is_empty() || self.pipe.as_ref().is_some_and(|pipe| !pipe.is_empty())
    }

    fn note_read(&mut self, read: Result<usize, Errno>) -> Result<usize, Errno> {
        match read {
            Ok(0) => self.ended = true,
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => self.readable = false,
            Err(error) => return Err(error),
        }
        Ok(read.unwrap_or(0))
    }

    fn write(&mut self, sink: BorrowedFd<'_>, read: &[u8], bytes: &mut u64) -> Result<(), Errno> {
        if !read.is_empty() {
            let taken = self.offer(sink, read)?;
            *bytes += taken as u64;
            self.pending.extend_from_slice(&read[taken..]);
        }
        Ok(())
    }

    /// Offers the sink what waits for it.
    fn flush(&mut self, sink: BorrowedFd<'_>, bytes: &mut u64) -> Result<(), Errno> {
        if self.writable && !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            let taken = self.offer(sink, &pending[self.sent..])?;
            *bytes += taken as u64;
            self.sent += taken;
            if self.sent < pending.len() {
                self.pending = pending;
            } else {
                self.sent = 0;
            }
        }
        while let Some(pipe) = self.pipe.as_mut().filter(|pipe| self.writable && !pipe.is_empty()) {
            let taken = pipe.drain(sink);
            *bytes += self.note_written(taken)? as u64;
        }
        Ok(())
    }

    fn offer(&mut self, sink: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        let sent = send(sink, bytes, SendFlags::NOSIGNAL);
        let taken = self.note_written(sent)?;
        // Less than all: its buffer is full, and the room to come is a new edge.
        self.writable &= taken == bytes.len();
        Ok(taken)
    }

    fn note_written(&mut self, written: Result<usize, Errno>) -> Result<usize, Errno> {
        match written {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => self.writable = false,
            Err(error) => return Err(error),
        }
        Ok(written.unwrap_or(0))
    }

    fn pass_end(&mut self, sink: BorrowedFd<'_>) -> Result<(), Errno> {
        if !self.closed {
            self.closed = true;
            shutdown(sink, Shutdown::Write)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use proptest::prelude::*;

    use super::*;

    /// A pair whose first end belongs to the test and whose second to the proxy; nothing blocks.
    fn pair() -> (UnixStream, UnixStream) {
        let (outside, inside) = UnixStream::pair().unwrap();
        outside.set_nonblocking(true).unwrap();
        inside.set_nonblocking(true).unwrap();
        (outside, inside)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// However much is written, read and pumped in which order, with a pipe or without: every byte comes
        /// out in its place, then the end, and the pipe is back.
        #[test]
        fn what_goes_in_comes_out(
            steps in prop::collection::vec((0usize..200_000, 0usize..200_000), 1..30),
            first in prop::collection::vec(any::<u8>(), 0..60),
            most_pipes in 0usize..2,
        ) {
            let ((mut client, source), (mut server, sink)) = (pair(), pair());
            let mut pipes = Pipes::new(most_pipes);
            let mut buffer = vec![0; 4096];
            let mut half = Half::new(first.clone(), true, false);
            let (mut sent, mut received, mut counted) = (first, Vec::new(), 0);
            let mut scratch = vec![0; 200_000];
            let mut number = 0u8;
            let mut pump = |half: &mut Half, pipes: &mut Pipes| {
                (half.readable, half.writable) = (true, true);
                half.pump(source.as_fd(), sink.as_fd(), &mut buffer, pipes)
            };
            for (write, read) in steps {
                number = number.wrapping_add(1);
                let chunk: Vec<u8> = (0..write).map(|position| (position % 253) as u8 ^ number).collect();
                if let Ok(written) = client.write(&chunk) {
                    sent.extend_from_slice(&chunk[..written]);
                }
                counted += pump(&mut half, &mut pipes).bytes;
                if let Ok(read) = server.read(&mut scratch[..read]) {
                    received.extend_from_slice(&scratch[..read]);
                }
            }
            client.shutdown(std::net::Shutdown::Write).unwrap();
            loop {
                counted += pump(&mut half, &mut pipes).bytes;
                match server.read(&mut scratch) {
                    Ok(0) => break,
                    Ok(read) => received.extend_from_slice(&scratch[..read]),
                    Err(error) => prop_assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
                }
            }
            prop_assert!(half.is_closed() && half.pipe.is_none());
            prop_assert_eq!(counted, sent.len() as u64);
            prop_assert!(received == sent);
            prop_assert_eq!(pipes.borrow().is_some(), most_pipes > 0);
        }
    }

    #[test]
    fn bulk_goes_through_a_pipe_that_is_given_back() {
        let ((mut client, source), (mut server, sink)) = (pair(), pair());
        let mut pipes = Pipes::new(1);
        let mut half = Half::new(Vec::new(), true, false);
        let mut buffer = vec![0; 1024];
        client.write_all(&[1; 1000]).unwrap();
        half.pump(source.as_fd(), sink.as_fd(), &mut buffer, &mut pipes).more.unwrap();
        assert_eq!(pipes.idle(), 0, "a short read is no bulk");
        half.readable = true;
        client.write_all(&[2; 20_000]).unwrap();
        half.pump(source.as_fd(), sink.as_fd(), &mut buffer, &mut pipes).more.unwrap();
        assert_eq!(pipes.idle(), 1);
        let mut received = vec![0; 21_000];
        server.read_exact(&mut received).unwrap();
        assert!(received[..1000] == [1; 1000] && received[1000..] == [2; 20_000]);
    }

    #[test]
    fn the_budget_ends_a_turn() {
        let ((mut client, source), (mut server, sink)) = (pair(), pair());
        let reader = std::thread::spawn(move || {
            server.set_nonblocking(false).unwrap();
            std::io::copy(&mut server, &mut std::io::sink()).unwrap()
        });
        let writer = std::thread::spawn(move || {
            client.set_nonblocking(false).unwrap();
            client.write_all(&vec![1; 8 << 20]).unwrap();
        });
        let (mut half, mut buffer) = (Half::new(Vec::new(), true, false), vec![0; 65536]);
        let mut most = 0;
        while !half.is_closed() {
            (half.readable, half.writable) = (true, true);
            let moved = half.pump(source.as_fd(), sink.as_fd(), &mut buffer, &mut Pipes::new(0));
            most = most.max(moved.bytes);
        }
        assert!(most < BUDGET + 65536, "{most}");
        writer.join().unwrap();
        drop(sink);
        assert_eq!(reader.join().unwrap(), 8 << 20);
    }
}
