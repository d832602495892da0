//! Lets go of everything when the daemon has died without doing so.
//!
//! A process of its own, so that nothing that can happen to the daemon happens to it. Over a socket it is told what
//! is held: the last adverts, with priority 0, and the kernel requests that take everything off, both ready to be
//! sent. When the socket closes without a farewell it sends them, so that the other director takes over in its skew
//! time and the addresses are not on two.

mod message;
mod process;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

use message::Message;
pub(super) use message::{Plan, Resignation};
pub use process::main;

/// A program that calls [`main`] when it is started with these arguments.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it is; `/proc/self/exe` is the running program, also when its file has been replaced.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// The daemon's end. Dropped, also by a panic, it leaves the guard to do what it is there for.
pub(super) struct Guard {
    socket: OwnedFd,
    process: Child,
}

impl Guard {
    pub(super) fn spawn(program: &Program) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).stdin(Stdio::from(theirs)).stdout(Stdio::null());
        // Inherited: a service manager signals all processes of a service, and this one has to outlive the daemon.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let process = command.spawn();
        before.thread_set_mask()?;
        let process = process?;
        Ok(Self { socket: ours, process })
    }

    /// What is to be done for a router from now on.
    pub(super) fn put(&self, router: &str, plan: &Plan) -> io::Result<()> {
        self.send(&Message::Put(router, plan.clone()))
    }

    /// Nothing is held for a router any more.
    pub(super) fn forget(&self, router: &str) -> io::Result<()> {
        self.send(&Message::Forget(router))
    }

    /// Nothing is held; ends the process.
    pub(super) fn dismiss(mut self) {
        match self.send(&Message::Farewell) {
            Ok(()) => drop(self.process.wait()),
            Err(_) => self.kill(),
        }
    }

    /// Ends one that does not answer any more.
    pub(super) fn kill(mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }

    /// Whether it has ended. It never sends anything.
    pub(super) fn has_ended(&self) -> bool {
        recv(&self.socket, &mut [0_u8; 1], RecvFlags::DONTWAIT).err() != Some(Errno::AGAIN)
    }

    fn send(&self, message: &Message<'_>) -> io::Result<()> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        send(&self.socket, &message.encode()?, flags)?;
        Ok(())
    }
}

impl AsFd for Guard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
