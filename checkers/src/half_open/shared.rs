//! The raw socket that all checks of one family and mark share, and the thread that hears what comes to it.
//!
//! All SYNs come from one port, which a socket without a connection keeps from being given to anybody else; a filter
//! in the kernel lets through only what is sent to that port. A SYN's random sequence number, which its answer
//! acknowledges, tells whose the answer is.

use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::sync::oneshot;

use super::segment::{self, Kind};
use crate::{Outcome, Target, failure};

/// How long the thread hears nothing before it looks whether it is still needed.
const PAUSE: Duration = Duration::from_millis(500);
/// After so many of these in a row without a check it ends.
const PAUSES: u32 = 120;
/// Room for the answers that come while the thread does not run, in bytes.
const BUFFER: usize = 4 << 20;

static ALL: Mutex<BTreeMap<Key, Arc<Shared>>> = Mutex::new(BTreeMap::new());

/// IPv4 or not, and the mark.
type Key = (bool, Option<u32>);

#[derive(Debug)]
pub(super) struct Shared {
    v4: bool,
    socket: Socket,
    /// Keeps the port.
    _reserved: Socket,
    port: u16,
    /// By sequence number.
    waiting: Mutex<HashMap<u32, Asked>>,
}

/// A SYN that was sent.
#[derive(Debug)]
struct Asked {
    /// The server's.
    port: u16,
    answer: oneshot::Sender<Kind>,
}

impl Shared {
    /// The one for this target, opened if there is none yet.
    pub(super) fn of(target: &Target) -> Result<Arc<Self>, Outcome> {
        let key = (target.address.is_ipv4(), target.fwmark);
        let mut all = lock(&ALL);
        if let Some(shared) = all.get(&key) {
            return Ok(Arc::clone(shared));
        }
        let shared = Arc::new(Self::open(key)?);
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("half-open".to_owned())
            .spawn(move || thread.hear(key))
            .map_err(|error| failure::own(&error, "start a thread"))?;
        all.insert(key, Arc::clone(&shared));
        Ok(shared)
    }

    fn open((v4, mark): Key) -> Result<Self, Outcome> {
        let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
        let (reserved, port) = reserve(domain).map_err(|error| failure::own(&error, "reserve a port"))?;
        let socket =
            Socket::new(domain, Type::RAW, Some(Protocol::TCP)).map_err(|error| failure::raw(&error, ""))?;
        socket.attach_filter(&filter(v4, port)).map_err(|error| failure::own(&error, "set a filter"))?;
        let own =
            |result: std::io::Result<()>| result.map_err(|error| failure::own(&error, "set up a raw socket"));
        own(if v4 { socket.set_header_included_v4(true) } else { socket.set_header_included_v6(true) })?;
        own(socket.set_read_timeout(Some(PAUSE)))?;
        own(socket.set_recv_buffer_size(BUFFER))?;
        if let Some(mark) = mark {
            socket.set_mark(mark).map_err(|error| failure::own(&error, &format!("set fwmark {mark}")))?;
        }
        Ok(Self { v4, socket, _reserved: reserved, port, waiting: Mutex::default() })
    }

    /// Sends a SYN.
    pub(super) fn send(self: &Arc<Self>, source: IpAddr, target: SocketAddr) -> Result<Waiting, Outcome> {
        let (sender, receiver) = oneshot::channel();
        let sequence = {
            let mut waiting = lock(&self.waiting);
            let sequence = std::iter::repeat_with(rand::random).find(|it| !waiting.contains_key(it));
            let sequence = sequence.unwrap_or_default();
            waiting.insert(sequence, Asked { port: target.port(), answer: sender });
            sequence
        };
        let waiting = Waiting { shared: Arc::clone(self), sequence, receiver };
        let packet = segment::syn(source, target, self.port, sequence);
        // To a raw socket a port would be a protocol.
        let mut address = target;
        address.set_port(0);
        self.socket
            .send_to_with_flags(&packet, &address.into(), libc::MSG_DONTWAIT)
            .map_err(|error| failure::connect(&error, target))?;
        Ok(waiting)
    }

    /// Hears answers until there has been no check for a while.
    fn hear(&self, key: Key) {
        let mut buffer = [0; 256];
        let mut pauses = 0;
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(size) => {
                    pauses = 0;
                    if let Some(answer) = segment::answer(self.v4, &buffer[..size]) {
                        self.heard(answer);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // Anything but the timeout would come again at once.
                    if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
                        std::thread::sleep(PAUSE);
                    }
                    pauses = if lock(&self.waiting).is_empty() { pauses + 1 } else { 0 };
                }
            }
            if pauses >= PAUSES {
                let mut all = lock(&ALL);
                // The registry's and ours: whoever else had one could be about to send.
                if all.get(&key).is_some_and(|shared| Arc::strong_count(shared) <= 2) {
                    all.remove(&key);
                    return;
                }
            }
        }
    }

    fn heard(&self, answer: segment::Answer) {
        let mut waiting = lock(&self.waiting);
        if waiting.get(&answer.sequence).is_some_and(|asked| asked.port == answer.port)
            && let Some(asked) = waiting.remove(&answer.sequence)
        {
            // Fails when the check has been given up.
            let _ = asked.answer.send(answer.kind);
        }
    }
}

/// A check that waits for its answer. Forgotten when dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    shared: Arc<Shared>,
    sequence: u32,
    receiver: oneshot::Receiver<Kind>,
}

impl Waiting {
    /// None when there will be none.
    pub(super) async fn wait(&mut self) -> Option<Kind> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.shared.waiting).remove(&self.sequence);
    }
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
