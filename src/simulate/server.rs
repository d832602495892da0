//! A real server: slots, a knee beyond which it slows down, and a backlog.
//!
//! Work is measured in seconds at full speed. All requests in slots go on at the same speed, which depends on how
//! many they are; so each has a finish on the server's own clock of work, and only the clock's speed changes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::order::Ordered;

/// What it can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) slots: usize,
    pub(super) knee: f64,
    pub(super) backlog: usize,
    pub(super) slowdown: f64,
}

/// Whether it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Alive,
    /// No power.
    Silent,
    /// No program.
    Refusing,
}

/// Who wants to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Visitor {
    Request(u32),
    Check(u32),
}

/// What becomes of one who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Free,
    Waits,
    Refused,
    Silence,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) shape: Shape,
    pub(super) state: State,
    /// By their finish.
    slots: BinaryHeap<Reverse<(Ordered, u32)>>,
    backlog: VecDeque<Visitor>,
    /// The clock of work.
    work: f64,
    as_of: f64,
}

impl Server {
    pub(super) fn new(shape: Shape) -> Self {
        let (slots, backlog) = (BinaryHeap::new(), VecDeque::new());
        Self { shape, state: State::Alive, slots, backlog, work: 0.0, as_of: 0.0 }
    }

    /// Takes one in if it can. One that is [`Offer::Free`] is to be started at once.
    pub(super) fn offer(&mut self, visitor: Visitor) -> Offer {
        match self.state {
            State::Silent => Offer::Silence,
            State::Refusing => Offer::Refused,
            State::Alive if self.slots.len() < self.shape.slots && self.backlog.is_empty() => Offer::Free,
            State::Alive if self.backlog.len() < self.shape.backlog => {
                self.backlog.push_back(visitor);
                Offer::Waits
            }
            State::Alive => Offer::Refused,
        }
    }

    /// Puts a request with so much work into a slot.
    pub(super) fn start(&mut self, now: f64, request: u32, work: f64) {
        self.advance(now);
        self.slots.push(Reverse((Ordered(self.work + work), request)));
    }

    /// The next of the backlog, if there is a slot.
    pub(super) fn next_waiting(&mut self) -> Option<Visitor> {
        if self.slots.len() < self.shape.slots { self.backlog.pop_front() } else { None }
    }

    /// When the next request is done.
    pub(super) fn next_done(&self) -> f64 {
        self.slots.peek().map_or(f64::INFINITY, |Reverse((finish, _))| {
            self.as_of + (finish.0 - self.work).max(0.0) / self.speed()
        })
    }

    /// Ends the request that is done at `now`.
    pub(super) fn finish(&mut self, now: f64) -> Option<u32> {
        self.advance(now);
        let Reverse((finish, request)) = self.slots.pop()?;
        self.work = self.work.max(finish.0);
        Some(request)
    }

    /// How much slower than at rest it is.
    pub(super) fn slowness(&self) -> f64 {
        1.0 / self.speed()
    }

    /// Other numbers from now on; what is in a slot stays there.
    pub(super) fn reshape(&mut self, now: f64, shape: Shape) {
        self.advance(now);
        self.shape = shape;
    }

    /// Loses everything. Returns who was there.
    pub(super) fn die(&mut self, now: f64, state: State) -> Vec<Visitor> {
        self.advance(now);
        self.state = state;
        let served = std::mem::take(&mut self.slots).into_iter().map(|Reverse((_, id))| Visitor::Request(id));
        served.chain(std::mem::take(&mut self.backlog)).collect()
    }

    /// Leaves this share of the work on the requests that `gone` says are nobody's any more.
    pub(super) fn abandon(&mut self, now: f64, share: f64, gone: impl Fn(u32) -> bool) {
        self.advance(now);
        let work = self.work;
        let left = |Reverse((finish, id)): Reverse<(Ordered, u32)>| {
            let rest = finish.0 - work;
            Reverse((Ordered(work + if gone(id) { rest * share } else { rest }), id))
        };
        self.slots = std::mem::take(&mut self.slots).into_iter().map(left).collect();
    }

    fn advance(&mut self, now: f64) {
        self.work += (now - self.as_of) * self.speed();
        self.as_of = now;
    }

    fn speed(&self) -> f64 {
        let beyond = (self.slots.len() as f64 / self.shape.knee - 1.0).max(0.0);
        1.0 / (1.0 + self.shape.slowdown * beyond)
    }
}
