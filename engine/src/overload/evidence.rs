//! What speaks for a server, that clients hear of it; and what a failed check means in that light.

use std::time::{Duration, Instant};

use super::constants::{CORRELATED, CRASHED, PROGRESS};
use super::sample::Change;
use crate::OutcomeKind;

/// What a failed check means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Nothing answers, neither the check nor clients.
    Dead,
    /// It works and is late.
    Saturated,
    /// It answers what it should not.
    Wrong,
    /// Nobody has asked it but the check.
    Idle,
}

#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// When it was last heard of.
    progress: Option<Instant>,
    /// Connections given to it since then, or failed.
    unanswered: u64,
    /// The dataplane sees no handshakes.
    unshaken: bool,
    /// None of a server of which no check has failed so.
    faults: Option<Box<Faults>>,
}

#[derive(Debug, Default)]
struct Faults {
    /// A check was refused, though clients heard of the server.
    refused: Option<Refused>,
    /// When a check last got a wrong answer.
    wrong: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Refused {
    /// No sample has come that began after it.
    JustNow,
    /// So long, in seconds, nobody has got through since.
    For(f64),
}

impl Evidence {
    pub(super) fn sample(&mut self, now: Instant, change: &Change) {
        self.unshaken = !change.shakes_hands;
        let crashed = self.faults.as_mut().is_some_and(|faults| faults.sample(change));
        if change.heard {
            self.progress = Some(now);
            self.unanswered = 0;
            return;
        }
        self.unanswered += change.begun;
        if crashed {
            self.progress = None;
        }
    }

    fn faults(&mut self) -> &mut Faults {
        self.faults.get_or_insert_default()
    }

    /// The director has stood still: what did not happen meanwhile says nothing.
    pub(super) fn resume(&mut self, now: Instant) {
        self.progress = Some(now);
        self.unanswered = 0;
        if let Some(faults) = &mut self.faults {
            faults.refused = None;
        }
    }

    pub(super) fn progresses(&self, now: Instant) -> bool {
        self.progress.is_some_and(|at| now.saturating_duration_since(at) <= PROGRESS)
    }

    /// Clients were sent there and none of them got through.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.unanswered > 0 && !self.progresses(now)
    }

    /// Takes a failed check in.
    pub(super) fn failed(&mut self, now: Instant, kind: OutcomeKind) -> Class {
        match kind {
            OutcomeKind::Unreachable => Class::Dead,
            OutcomeKind::WrongAnswer | OutcomeKind::Tls => {
                self.faults().wrong = Some(now);
                Class::Wrong
            }
            // Nobody is there to take datagrams; no backlog is full.
            OutcomeKind::Refused if self.progresses(now) && self.unshaken => Class::Idle,
            _ if self.progresses(now) => {
                if kind == OutcomeKind::Refused {
                    self.faults().refused.get_or_insert(Refused::JustNow);
                }
                Class::Saturated
            }
            _ if self.is_silent(now) => Class::Dead,
            _ => Class::Idle,
        }
    }

    pub(super) fn was_wrong(&self, now: Instant) -> bool {
        let wrong = self.faults.as_ref().and_then(|it| it.wrong);
        wrong.is_some_and(|at| now.saturating_duration_since(at) <= CORRELATED)
    }
}

impl Faults {
    /// True where nobody has got through for so long that nobody can: a full backlog lets somebody in now and then.
    fn sample(&mut self, change: &Change) -> bool {
        self.refused = match self.refused {
            Some(Refused::JustNow) => Some(Refused::For(0.0)),
            Some(Refused::For(_)) if change.heard => None,
            Some(Refused::For(silent)) if change.failed > 0 => Some(Refused::For(silent + change.seconds)),
            unchanged => unchanged,
        };
        matches!(self.refused, Some(Refused::For(silent)) if silent >= CRASHED)
    }
}

/// Whether an outcome may be the fault of a director that stood still.
pub(super) fn blames_time(kind: OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::ConnectTimeout | OutcomeKind::AnswerTimeout)
}

/// When a check began that ended now.
pub(super) fn began(now: Instant, latency: Duration) -> Option<Instant> {
    now.checked_sub(latency)
}
