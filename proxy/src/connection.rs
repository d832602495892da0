//! One TCP connection: first on its way to a real server, then carrying bytes.
//!
//! ```text
//!              accept
//!                │
//!                ▼      refused, unreachable, timed out: another destination
//!          ┌ Connecting ┐◄─┐
//!          │            └──┘
//!          │ nobody left, deadline          connected
//!          ▼                                    │
//!   reset the client                            ▼
//!                                          Established ── both ends passed on ──► close
//!                                               │
//!                                               └─ error, idle, on_down ──► reset both
//! ```

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::clock::Millis;
use crate::pump::Half;
use crate::slots::Reservation;
use crate::token::Serial;

pub(crate) struct Connection {
    pub(crate) serial: Serial,
    pub(crate) service: usize,
    pub(crate) client: OwnedFd,
    pub(crate) phase: Phase,
}

pub(crate) enum Phase {
    Connecting(Attempt),
    Established(Flow),
}

pub(crate) struct Attempt {
    pub(crate) peer: SocketAddr,
    /// Over all attempts.
    pub(crate) deadline: Millis,
    /// The one under way.
    pub(crate) upstream: Option<Upstream>,
    /// When it is given up.
    pub(crate) until: Millis,
    /// Those that have failed. It allocates at the first failure only.
    pub(crate) tried: Vec<SocketAddr>,
}

pub(crate) struct Flow {
    pub(crate) upstream: Upstream,
    /// From the client to the real server.
    pub(crate) up: Half,
    /// From the real server to the client.
    pub(crate) down: Half,
    /// When bytes last moved.
    pub(crate) last: Millis,
    /// Waits for its next turn.
    pub(crate) queued: bool,
}

/// The real server's side. The order of the fields closes the socket before its place is given back, so that
/// a real server never has more connections than its cap.
pub(crate) struct Upstream {
    pub(crate) socket: OwnedFd,
    pub(crate) place: Reservation,
}

impl Connection {
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        let upstream = match &self.phase {
            Phase::Connecting(attempt) => attempt.upstream.as_ref()?,
            Phase::Established(flow) => &flow.upstream,
        };
        Some(upstream.place.slot().address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle connection is this and nothing else in user memory.
    #[test]
    fn a_connection_is_small() {
        assert!(size_of::<Connection>() <= 192, "{}", size_of::<Connection>());
    }
}
