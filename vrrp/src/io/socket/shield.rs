//! Keeps off what comes from farther away than peers are, once it comes in a flood.
//!
//! Few such packets are refused by the machine, which counts them: most likely a peer is configured to send them. But
//! whoever can reach this host can send many, and they would take the thread's time and the queue's room from adverts.

use std::io;
use std::time::{Duration, Instant};

use nix::libc;
use socket2::{SockFilter, Socket};

use crate::config::Family;

/// So many within a second are a flood.
const FLOOD: u32 = 100;
const WINDOW: Duration = Duration::from_secs(1);

/// For so long the kernel drops them. Then they are counted anew.
pub(super) const UP: Duration = Duration::from_secs(60);

/// Against floods from afar.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shield {
    /// So many from afar have come within a window that began then, if any have.
    Down(Option<(Instant, u32)>),
    /// The kernel drops them since then.
    Up(Instant),
}

impl Shield {
    /// A packet came at this time. From afar is what has a TTL or hop limit less than `least`.
    pub(super) fn note(self, now: Instant, ttl: u8, least: u8, socket: &Socket, family: Family) -> Self {
        match self {
            Self::Up(since) if now >= since + UP => self.lower(socket),
            Self::Down(window) if ttl < least => {
                let (since, count) = window.filter(|(since, _)| now < *since + WINDOW).unwrap_or((now, 0));
                // Where it cannot be raised they are refused one by one.
                if count >= FLOOD && raise(socket, family, least).is_ok() {
                    Self::Up(now)
                } else {
                    Self::Down(Some((since, count + 1)))
                }
            }
            unchanged => unchanged,
        }
    }

    pub(super) fn lower(self, socket: &Socket) -> Self {
        if let Self::Up(_) = self {
            let _was_attached = socket.detach_filter();
        }
        Self::Down(None)
    }
}

/// Has the kernel drop what has a TTL or hop limit less than `least`.
fn raise(socket: &Socket, family: Family, least: u8) -> io::Result<()> {
    let offset = match family {
        Family::Ipv4 => 8,
        Family::Ipv6 => 7,
    };
    let op = |code: u32, jump_false: u8, k: u32| SockFilter::new(code as u16, 0, jump_false, k);
    // From the network header on, which a raw socket of IPv6 does not see.
    let header = libc::SKF_NET_OFF.cast_unsigned();
    socket.attach_filter(&[
        op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, header + offset),
        op(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, least.into()),
        op(libc::BPF_RET | libc::BPF_K, 0, u32::MAX),
        op(libc::BPF_RET | libc::BPF_K, 0, 0),
    ])
}
