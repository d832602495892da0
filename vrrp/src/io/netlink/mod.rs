//! Route netlink: requests with their answers, and notices of what has changed.

mod notice;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{
    Socket, SocketAddr,
    protocols::{NETLINK_NETFILTER, NETLINK_ROUTE},
};
use rustix::io::Errno;
use rustix::net::sockopt::{
    Timeout, set_socket_recv_buffer_size, set_socket_recv_buffer_size_force, set_socket_timeout,
};

pub(super) use notice::Notice;

/// The most requests in one send: their acknowledgements fit the default receive buffer.
const BATCH: usize = 128;

/// The kernel fills dumps of up to 32 KB where the reader has that much room.
const RECEIVE: usize = 64 * 1024;

/// The kernel answers within the system call that asks; whoever waits longer waits for nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many notices may wait, in bytes of the kernel's accounting.
const BACKLOG: usize = 4 << 20;

const GROUPS: [u32; 3] = [libc::RTNLGRP_LINK, libc::RTNLGRP_IPV4_IFADDR, libc::RTNLGRP_IPV6_IFADDR];

/// Something to be done, with the flags that say how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) message: RouteNetlinkMessage,
    pub(super) flags: u16,
}

/// Requests and their answers.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let socket = connect(NETLINK_ROUTE)?;
        // Errors without a copy of the message: acknowledgements have one size.
        socket.set_cap_ack(true)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(RECEIVE) })
    }

    /// Carries out requests in their order; what the kernel said to each.
    pub(super) fn exchange(&mut self, requests: &[Request]) -> io::Result<Vec<Result<(), Errno>>> {
        let mut answers = Vec::with_capacity(requests.len());
        for batch in requests.chunks(BATCH) {
            self.exchange_batch(batch, &mut answers)?;
        }
        Ok(answers)
    }

    fn exchange_batch(&mut self, batch: &[Request], answers: &mut Vec<Result<(), Errno>>) -> io::Result<()> {
        let (start, first) = (answers.len(), self.sequence.wrapping_add(1));
        let mut bytes = Vec::new();
        for request in batch {
            self.sequence = self.sequence.wrapping_add(1);
            append(&mut bytes, request, self.sequence, NLM_F_ACK);
        }
        answers.resize(start + batch.len(), Err(Errno::INTR));
        self.socket.send(&bytes, 0)?;
        let mut left = batch.len();
        while left > 0 {
            receive(&self.socket, &mut self.buffer, 0)?;
            for message in messages(&self.buffer) {
                let Some(code) = error_code(&message) else { continue };
                let place = message.sequence_number().wrapping_sub(first) as usize;
                if place < batch.len() {
                    answers[start + place] = code;
                    left -= 1;
                }
            }
        }
        Ok(())
    }

    /// Hands over everything that a dump answers.
    pub(super) fn dump(
        &mut self,
        message: RouteNetlinkMessage,
        mut each: impl FnMut(Notice),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        append(&mut bytes, &Request { message, flags: NLM_F_DUMP }, self.sequence, 0);
        self.socket.send(&bytes, 0)?;
        loop {
            receive(&self.socket, &mut self.buffer, 0)?;
            for message in messages(&self.buffer) {
                if message.sequence_number() != self.sequence {
                    continue;
                }
                if i32::from(message.message_type()) == libc::NLMSG_DONE {
                    return Ok(());
                }
                if let Some(code) = error_code(&message) {
                    return code.map_err(io::Error::from);
                }
                Notice::parse(&message).map(&mut each);
            }
        }
    }
}

/// Hears what changes at links and addresses.
pub(super) struct Monitor {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Monitor {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        // More than the system's limit needs a capability; less is enough nearly always.
        let _limited = set_socket_recv_buffer_size_force(&socket, BACKLOG)
            .or_else(|_| set_socket_recv_buffer_size(&socket, BACKLOG));
        Ok(Self { socket, buffer: Vec::with_capacity(RECEIVE) })
    }

    /// The next notices; none: there are none now. An error of [`Errno::NOBUFS`] means that some were lost, which came
    /// after all that wait.
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<Notice>>> {
        match receive(&self.socket, &mut self.buffer, libc::MSG_DONTWAIT) {
            Ok(()) => {
                Ok(Some(messages(&self.buffer).filter_map(|message| Notice::parse(&message)).collect()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket connected to the kernel, so that nobody else can send to it.
pub(super) fn connect(protocol: isize) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// Sends a batch of which no message asks for an answer; the first error among what the kernel says to it.
pub(super) fn tell_netfilter(batch: &[u8]) -> io::Result<()> {
    let socket = connect(NETLINK_NETFILTER)?;
    socket.send(batch, 0)?;
    let mut buffer = Vec::with_capacity(RECEIVE);
    // It has done so within the system call.
    match receive(&socket, &mut buffer, libc::MSG_DONTWAIT) {
        Ok(()) => Ok(messages(&buffer).find_map(|message| error_code(&message)).transpose().map(drop)?),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

/// Appends a request as the kernel reads it. Every message is a multiple of 4 bytes long, as netlink wants it.
pub(super) fn append(bytes: &mut Vec<u8>, request: &Request, sequence: u32, flags: u16) {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | request.flags | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request.message.clone()));
    message.finalize();
    let start = bytes.len();
    bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
    message.serialize(&mut bytes[start..]);
}

/// Fills the buffer with the next datagram.
fn receive(socket: &Socket, buffer: &mut Vec<u8>, flags: i32) -> io::Result<()> {
    loop {
        buffer.clear();
        match socket.recv(buffer, flags) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map(drop),
        }
    }
}

/// The messages of a datagram, up to the first that is not whole.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(datagram).ok()?;
        let length = (message.length() as usize).next_multiple_of(4).min(datagram.len());
        datagram = &datagram[length..];
        Some(message)
    })
}

/// What an acknowledgement says; none: it is something else.
fn error_code(message: &NetlinkBuffer<&[u8]>) -> Option<Result<(), Errno>> {
    if i32::from(message.message_type()) != libc::NLMSG_ERROR {
        return None;
    }
    let code = i32::from_ne_bytes(*message.payload().first_chunk()?);
    Some(if code == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(code.saturating_abs())) })
}
