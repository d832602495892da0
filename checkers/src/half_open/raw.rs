//! The raw socket of one source and mark.
//!
//! It is bound to the source: a raw socket gets a copy of every TCP segment that comes to an address of its own, and
//! those to others, such as the virtual servers', are none of its business.
//!
//! All SYNs come from one port, which a socket without a connection keeps from being given to anybody else; a filter
//! in the kernel lets through only what is sent to that port. Whose an answer is, is told by the server's address and
//! port and by the SYN's random sequence number, which it acknowledges.

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use rustix::net::sockopt::{set_socket_send_buffer_size, set_socket_send_buffer_size_force};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::segment::{self, Kind, Packet};
use crate::{Outcome, failure, socket};

/// Messages that are taken from the kernel at once.
const BATCH: usize = 64;
/// Batches that are taken before others have their turn.
const BATCHES: usize = 16;
/// Room for the headers of IPv4 and TCP with all options.
const HEADERS: usize = 120;
/// Room for the answers that come while the thread does something else, in bytes.
const BUFFER: usize = 4 << 20;
/// Room for SYNs that wait for a neighbour's link-layer address, in bytes; each takes somewhat less than 1 KiB.
const UNSENT: usize = 32 << 20;

#[derive(Debug)]
pub(super) struct Raw {
    v4: bool,
    socket: Socket,
    /// Keeps the port.
    _reserved: Socket,
    port: u16,
    /// By sequence number.
    waiting: HashMap<u32, Asked>,
    batch: Vec<Syn>,
}

#[derive(Debug)]
struct Asked {
    token: usize,
    server: SocketAddr,
    sent: bool,
}

#[derive(Debug)]
struct Syn {
    token: usize,
    sequence: u32,
    server: SocketAddr,
    packet: Packet,
}

impl Raw {
    pub(super) fn open(source: IpAddr, mark: Option<u32>) -> Result<Self, Outcome> {
        let v4 = source.is_ipv4();
        let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
        let own = |error: io::Error| failure::own(&error, "set up a raw socket");
        let (reserved, port) = reserve(domain).map_err(|error| failure::own(&error, "reserve a port"))?;
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::TCP))
            .map_err(|error| failure::raw(&error, ""))?;
        socket.attach_filter(&filter(v4, port)).map_err(|error| failure::own(&error, "set a filter"))?;
        if v4 { socket.set_header_included_v4(true) } else { socket.set_header_included_v6(true) }
            .map_err(own)?;
        socket.set_recv_buffer_size(BUFFER).map_err(own)?;
        // Over net.core.wmem_max only with CAP_NET_ADMIN.
        set_socket_send_buffer_size_force(&socket, UNSENT)
            .or_else(|_| set_socket_send_buffer_size(&socket, UNSENT))
            .map_err(|error| own(error.into()))?;
        socket::mark(&socket, mark)?;
        // One link's address may be another's too, so that it would have to be bound to the link as well.
        if !matches!(source, IpAddr::V6(source) if source.is_unicast_link_local()) {
            socket::bind(&socket, source)?;
        }
        let (waiting, batch) = (HashMap::new(), Vec::new());
        Ok(Self { v4, socket, _reserved: reserved, port, waiting, batch })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Puts a SYN into the batch; its sequence number.
    pub(super) fn ask(&mut self, token: usize, server: SocketAddr, source: IpAddr) -> u32 {
        let mut sequence = rand::random();
        while self.waiting.contains_key(&sequence) {
            sequence = rand::random();
        }
        self.waiting.insert(sequence, Asked { token, server, sent: false });
        let packet = segment::syn(source, server, self.port, sequence);
        self.batch.push(Syn { token, sequence, server, packet });
        sequence
    }

    pub(super) fn forget(&mut self, sequence: u32) {
        self.waiting.remove(&sequence);
    }

    /// What it means that the time is over.
    pub(super) fn timed_out(&self, sequence: u32) -> Outcome {
        match self.waiting.get(&sequence) {
            Some(Asked { sent: false, server, .. }) => Outcome::NotRun(format!(
                "no SYN could be sent to {server} in time: the raw socket's buffer is full, as it is while many servers' \
                 neighbours do not answer ARP or neighbour discovery"
            )),
            _ => Outcome::ConnectTimeout,
        }
    }

    /// Sends what there is room for of the batch; the checks whose SYN could not be sent.
    pub(super) fn send(&mut self) -> Vec<(usize, Outcome)> {
        // Nobody may wait any more for those that there was no room for the last time.
        self.batch.retain(|syn| self.waiting.contains_key(&syn.sequence));
        let (done, failed) = send_all(&self.batch, |rest| send(&self.socket, rest));
        for syn in self.batch.drain(..done) {
            if let Some(asked) = self.waiting.get_mut(&syn.sequence) {
                asked.sent = true;
            }
        }
        failed
    }

    /// Whether some of the batch waits for room.
    pub(super) fn is_behind(&self) -> bool {
        !self.batch.is_empty()
    }

    /// The checks whose answers have come.
    pub(super) fn hear(&mut self) -> Vec<(usize, Outcome)> {
        let mut heard = Vec::new();
        for _ in 0..BATCHES {
            let mut buffers = [[0; HEADERS]; BATCH];
            let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
            let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
            let flags = MsgFlags::MSG_DONTWAIT;
            let Ok(messages) =
                recvmmsg(self.socket.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None)
            else {
                return heard;
            };
            let mut count = 0;
            for message in messages {
                count += 1;
                let bytes = message.iovs().next().unwrap_or_default();
                heard.extend(self.answer(bytes, message.address));
            }
            if count < BATCH {
                break;
            }
        }
        heard
    }

    fn answer(&mut self, bytes: &[u8], from: Option<SockaddrStorage>) -> Option<(usize, Outcome)> {
        let answer = segment::answer(self.v4, bytes)?;
        let asked = self.waiting.get(&answer.sequence)?;
        if asked.server.port() != answer.port || Some(asked.server.ip()) != from.and_then(ip) {
            return None;
        }
        let outcome = match answer.kind {
            Kind::Open => Outcome::Passed(String::new()),
            Kind::Refused => Outcome::Refused,
        };
        let token = asked.token;
        self.waiting.remove(&answer.sequence);
        Some((token, outcome))
    }
}

/// How many of them are done with, and the checks of those that could not be sent.
fn send_all(
    batch: &[Syn],
    mut send: impl FnMut(&[Syn]) -> Result<usize, Errno>,
) -> (usize, Vec<(usize, Outcome)>) {
    let (mut done, mut failed) = (0, Vec::new());
    while let Some(first) = batch.get(done) {
        match send(&batch[done..]) {
            Ok(sent) => done += sent.max(1),
            // No room for any of the rest.
            Err(Errno::EAGAIN) => break,
            // It says this of the first.
            Err(error) => {
                failed.push((first.token, failure::connect(&error.into(), first.server)));
                done += 1;
            }
        }
    }
    (done, failed)
}

/// How many of them have been sent; an error is about the first.
fn send(socket: &Socket, batch: &[Syn]) -> Result<usize, Errno> {
    let slices: Vec<_> = batch.iter().map(|syn| [IoSlice::new(syn.packet.bytes())]).collect();
    let addresses: Vec<_> =
        batch.iter().map(|syn| Some(SockaddrStorage::from(without_port(syn.server)))).collect();
    let mut headers = MultiHeaders::preallocate(batch.len(), None);
    let flags = MsgFlags::MSG_DONTWAIT;
    Ok(sendmmsg(socket.as_raw_fd(), &mut headers, &slices, addresses, [], flags)?.count())
}

/// To a raw socket a port would be a protocol.
fn without_port(mut address: SocketAddr) -> SocketAddr {
    address.set_port(0);
    address
}

fn ip(address: SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|it| it.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|it| it.ip().into()))
}

/// A TCP port of our own, and what keeps it.
fn reserve(domain: Domain) -> std::io::Result<(Socket, u16)> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    let any: IpAddr =
        if domain == Domain::IPV4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SocketAddr::new(any, 0).into())?;
    let port = socket.local_addr()?.as_socket().map_or(0, |address| address.port());
    Ok((socket, port))
}

/// Lets through what is sent to `port`, up to 256 bytes of it. A raw socket sees the IP header of IPv4 only.
fn filter(v4: bool, port: u16) -> Vec<SockFilter> {
    let op = |code: u32, jump_false: u8, k: u32| SockFilter::new(code as u16, 0, jump_false, k);
    let load = if v4 {
        vec![
            op(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0),
            op(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0, 2),
        ]
    } else {
        vec![op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 2)]
    };
    let rest = [
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, u32::from(port)),
        op(libc::BPF_RET | libc::BPF_K, 0, 256),
        op(libc::BPF_RET | libc::BPF_K, 0, 0),
    ];
    load.into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_waits() {
        let server = "192.0.2.2:80".parse().unwrap();
        let packet = segment::syn(Ipv4Addr::LOCALHOST.into(), server, 40_000, 7);
        let batch: Vec<_> = (0..6).map(|token| Syn { token, sequence: 7, server, packet }).collect();
        let mut results = [Ok(2), Err(Errno::EHOSTUNREACH), Ok(1), Err(Errno::EAGAIN), Ok(2)].into_iter();
        let (done, failed) = send_all(&batch, |_| results.next().unwrap());
        assert_eq!(done, 4);
        assert_eq!(failed.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [2]);
        assert_eq!(send_all(&batch[done..], |_| results.next().unwrap()), (2, Vec::new()));
    }
}
