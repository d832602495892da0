//! What is known of one server's clients. Of a server that has had none little is kept: of most servers of a large
//! configuration nothing else is ever known.

use std::net::SocketAddr;
use std::time::Instant;

use super::cap::{Cap, Moment};
use super::checks::Checks;
use super::residence::{Lesson, Recent};
use super::sample::{Change, Load};

#[derive(Debug)]
pub(super) enum Clients {
    /// No sample has told of any.
    Idle(Idle),
    Seen(Box<Seen>),
}

/// All that a [`Cap`] can come to by samples of nothing.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// What the last sample's zeros were: whether there were those of handshakes, and those of bytes.
    last: Option<(bool, bool)>,
    /// How long it has been sampled, as the weights of the estimates.
    recent: f64,
    steady: f64,
    /// Since the last check, in seconds.
    unconfirmed: f64,
}

#[derive(Debug)]
pub(super) struct Seen {
    load: Option<Load>,
    pub(super) cap: Cap,
}

impl Default for Clients {
    fn default() -> Self {
        Self::Idle(Idle::default())
    }
}

impl Clients {
    /// What was counted last of the server, which has this address.
    pub(super) fn load(&self, address: SocketAddr) -> Option<Load> {
        match self {
            Self::Idle(idle) => idle.load(address),
            Self::Seen(seen) => seen.load,
        }
    }

    /// Connections when they were counted last.
    pub(super) fn active(&self) -> u64 {
        match self {
            Self::Idle(_) => 0,
            Self::Seen(seen) => seen.load.map_or(0, |it| it.active),
        }
    }

    pub(super) fn remember(&mut self, load: &Load) {
        match self {
            Self::Idle(idle) if load.is_nothing() => {
                idle.last = Some((load.established.is_some(), load.bytes_out.is_some()));
            }
            _ => self.seen(load.address).load = Some(*load),
        }
    }

    /// What was counted last is too long ago.
    pub(super) fn forget_load(&mut self) {
        match self {
            Self::Idle(idle) => idle.last = None,
            Self::Seen(seen) => seen.load = None,
        }
    }

    pub(super) fn sample(&mut self, checks: &mut Checks, moment: Moment, load: &Load, change: &Change) {
        if !load.is_nothing() {
            self.seen(load.address);
        }
        self.teach(|cap| cap.sample(checks, moment, change));
    }

    /// A check was answered by a server that is not saturated.
    pub(super) fn confirm(&mut self, checks: &Checks) {
        self.teach(|cap| cap.confirm(checks));
    }

    /// The server is out of service.
    pub(super) fn let_go(&mut self, checks: &mut Checks, now: Instant) {
        self.teach(|cap| cap.let_go(checks, now));
    }

    /// None before there were any.
    pub(super) fn cap(&self) -> Option<&Cap> {
        match self {
            Self::Idle(_) => None,
            Self::Seen(seen) => Some(&seen.cap),
        }
    }

    /// Everything about them, from now on if not before, of the server that has this address.
    pub(super) fn seen(&mut self, address: SocketAddr) -> &mut Seen {
        match self {
            Self::Seen(seen) => seen,
            Self::Idle(idle) => {
                *self = Self::Seen(Box::new(Seen { load: idle.load(address), cap: idle.cap() }));
                self.seen(address)
            }
        }
    }

    /// Without clients nothing else is learned than what [`Idle`] keeps.
    fn teach(&mut self, lesson: impl FnOnce(&mut Cap)) {
        match self {
            Self::Seen(seen) => lesson(&mut seen.cap),
            Self::Idle(idle) => {
                let mut cap = idle.cap();
                lesson(&mut cap);
                idle.keep(&cap);
            }
        }
    }
}

impl Idle {
    fn load(&self, address: SocketAddr) -> Option<Load> {
        let (shakes_hands, counts_bytes) = self.last?;
        let (established, bytes_out) = (shakes_hands.then_some(0), counts_bytes.then_some(0));
        Some(Load { address, active: 0, begun: 0, failed: 0, established, bytes_out })
    }

    fn cap(&self) -> Cap {
        let mut cap = Cap::default();
        (cap.recent, cap.steady) = (Recent::idle(self.recent), Recent::idle(self.steady));
        cap.unconfirmed = Lesson::idle(self.unconfirmed);
        cap
    }

    fn keep(&mut self, cap: &Cap) {
        (self.recent, self.steady) = (cap.recent.weight(), cap.steady.weight());
        self.unconfirmed = cap.unconfirmed.seconds();
    }
}
