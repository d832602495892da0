//! The raw socket of one family and mark.
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
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::segment::{self, Kind, Packet};
use super::sources::Sources;
use crate::{Outcome, Target, failure};

/// IPv4 or not, and the mark.
pub(super) type Key = (bool, Option<u32>);

/// Messages that are taken from the kernel at once.
const BATCH: usize = 64;
/// Batches that are taken before others have their turn.
const BATCHES: usize = 16;
/// Room for the headers of IPv4 and TCP with all options.
const HEADERS: usize = 120;
/// Room for the answers that come while the thread does something else, in bytes.
const BUFFER: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Raw {
    v4: bool,
    socket: Socket,
    /// Keeps the port.
    _reserved: Socket,
    port: u16,
    sources: Sources,
    /// By sequence number.
    waiting: HashMap<u32, Asked>,
    batch: Vec<Syn>,
}

#[derive(Debug)]
struct Asked {
    token: usize,
    server: SocketAddr,
}

#[derive(Debug)]
struct Syn {
    token: usize,
    server: SocketAddr,
    packet: Packet,
}

impl Raw {
    pub(super) fn open((v4, mark): Key) -> Result<Self, Outcome> {
        let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
        let own = |error: io::Error| failure::own(&error, "set up a raw socket");
        let (reserved, port) = reserve(domain).map_err(|error| failure::own(&error, "reserve a port"))?;
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::TCP))
            .map_err(|error| failure::raw(&error, ""))?;
        socket.attach_filter(&filter(v4, port)).map_err(|error| failure::own(&error, "set a filter"))?;
        if v4 { socket.set_header_included_v4(true) } else { socket.set_header_included_v6(true) }
            .map_err(own)?;
        socket.set_recv_buffer_size(BUFFER).map_err(own)?;
        let sources = Sources::open(domain).map_err(own)?;
        if let Some(mark) = mark {
            for socket in [&socket, sources.router()] {
                socket.set_mark(mark).map_err(|error| failure::own(&error, &format!("set fwmark {mark}")))?;
            }
        }
        let (waiting, batch) = (HashMap::new(), Vec::new());
        Ok(Self { v4, socket, _reserved: reserved, port, sources, waiting, batch })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Puts a SYN into the batch; its sequence number.
    pub(super) fn ask(&mut self, token: usize, target: &Target) -> Result<u32, Outcome> {
        if self.batch.is_empty() {
            self.sources.renew();
        }
        let to = without_port(target.address);
        let source = self.sources.of(target, to)?;
        let mut sequence = rand::random();
        while self.waiting.contains_key(&sequence) {
            sequence = rand::random();
        }
        let server = target.address;
        self.waiting.insert(sequence, Asked { token, server });
        let packet = segment::syn(source, server, self.port, sequence);
        self.batch.push(Syn { token, server, packet });
        Ok(sequence)
    }

    pub(super) fn forget(&mut self, sequence: u32) {
        self.waiting.remove(&sequence);
    }

    /// Sends the batch; the checks whose SYN could not be sent.
    pub(super) fn send(&mut self) -> Vec<(usize, Outcome)> {
        let mut failed = Vec::new();
        let mut rest = self.batch.as_slice();
        while let Some(first) = rest.first() {
            match send(&self.socket, rest) {
                Ok(sent) => rest = &rest[sent.max(1)..],
                // It says this of the first.
                Err(error) => {
                    failed.push((first.token, failure::connect(&error.into(), first.server)));
                    rest = &rest[1..];
                }
            }
        }
        self.batch.clear();
        failed
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
