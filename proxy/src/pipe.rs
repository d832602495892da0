//! Pipes for bulk: splice(2) moves pages from socket to socket without copying them through user memory.
//!
//! A direction borrows a pipe when it has shown to be bulk and gives it back as soon as its source has
//! nothing more, so a few serve many connections. Without one, bytes are copied: slower, never wrong.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// What an unprivileged process may set (/proc/sys/fs/pipe-max-size).
const SIZE: usize = 1024 * 1024;

pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    filled: usize,
}

/// One thread's pipes.
pub(crate) struct Pipes {
    idle: Vec<Pipe>,
    lent: usize,
    most: usize,
}

impl Pipe {
    fn new() -> Result<Pipe, Errno> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Refused when the user has too many large ones: a small pipe does too.
        let _ = fcntl_setpipe_size(&write, SIZE);
        Ok(Pipe { read, write, filled: 0 })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Takes what the source has into the empty pipe; 0 at its end.
    pub(crate) fn fill(&mut self, source: BorrowedFd<'_>) -> Result<usize, Errno> {
        self.filled = splice(source, None, &self.write, None, SIZE, SpliceFlags::NONBLOCK)?;
        Ok(self.filled)
    }

    /// Gives the sink what it takes. A closed one is EPIPE and, splice having no MSG_NOSIGNAL, SIGPIPE, which
    /// Rust's runtime ignores from the start.
    pub(crate) fn drain(&mut self, sink: BorrowedFd<'_>) -> Result<usize, Errno> {
        let taken = splice(&self.read, None, sink, None, self.filled, SpliceFlags::NONBLOCK)?;
        self.filled -= taken;
        Ok(taken)
    }
}

impl Pipes {
    pub(crate) fn new(most: usize) -> Pipes {
        Pipes { idle: Vec::with_capacity(most), lent: 0, most }
    }

    /// None when all are lent or no descriptor is left.
    pub(crate) fn borrow(&mut self) -> Option<Pipe> {
        if self.lent >= self.most {
            return None;
        }
        let pipe = self.idle.pop().or_else(|| Pipe::new().ok())?;
        self.lent += 1;
        Some(pipe)
    }

    /// A pipe of a connection that was cut may have bytes in it, and is not used again.
    pub(crate) fn give_back(&mut self, pipe: Pipe) {
        self.lent -= 1;
        if pipe.is_empty() {
            self.idle.push(pipe);
        }
    }

    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.idle.len()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn pipes_are_few_and_used_again_only_when_empty() {
        let mut pipes = Pipes::new(1);
        let mut pipe = pipes.borrow().unwrap();
        assert!(pipes.borrow().is_none());
        let (mut source, other) = UnixStream::pair().unwrap();
        source.write_all(b"left over").unwrap();
        assert_eq!(pipe.fill(other.as_fd()), Ok(9));
        pipes.give_back(pipe);
        let mut pipe = pipes.borrow().unwrap();
        assert!(pipe.is_empty());
        source.write_all(b"through").unwrap();
        let (sink, _taker) = UnixStream::pair().unwrap();
        assert_eq!((pipe.fill(other.as_fd()), pipe.drain(sink.as_fd())), (Ok(7), Ok(7)));
        pipes.give_back(pipe);
        assert_eq!(pipes.idle(), 1);
    }
}
