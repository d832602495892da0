//! What the checks of one server tell of its load: whether they wait.

use std::time::Instant;

use super::constants::*;

#[derive(Debug, Default)]
pub(super) struct Checks {
    /// Of the last check, in seconds.
    latency: Option<f64>,
    /// The same when it does not wait.
    pub(super) latency_at_rest: Option<f64>,
    /// When checks or clients last said that the server is saturated.
    saturated: Option<Instant>,
    /// So many checks in a row have.
    times: u32,
}

impl Checks {
    /// A check was answered, or given up, after so many seconds; a full backlog answers at once and tells no time.
    /// True if it was answered by a server that is not saturated.
    pub(super) fn take(&mut self, now: Instant, latency: Option<f64>, saturated: bool) -> bool {
        self.saturated = if saturated { Some(now) } else { self.saturated };
        self.times = if saturated { self.times.saturating_add(1) } else { 0 };
        let Some(latency) = latency else { return false };
        self.latency = Some(latency);
        if saturated {
            return false;
        }
        let rest = self.latency_at_rest.unwrap_or(latency);
        let share = match self.ratio() {
            _ if latency < rest => LATENCY_FALL,
            ratio if ratio < LATENCY_HIGH => LATENCY_RISE,
            _ => 0.0,
        };
        self.latency_at_rest = Some(rest + share * (latency - rest));
        true
    }

    /// Clients say that it is saturated.
    pub(super) fn saturate(&mut self, now: Instant) {
        self.saturated = Some(now);
    }

    /// What was seen until now is about a server that was too full.
    pub(super) fn forget(&mut self) {
        (self.latency, self.saturated) = (None, None);
    }

    /// The last check was about as quick as at rest.
    pub(super) fn is_quick(&self) -> bool {
        self.ratio() < LATENCY_LOW
    }

    /// They do not wait.
    pub(super) fn are_calm(&self, now: Instant) -> bool {
        !self.say_saturated(now) && self.is_quick()
    }

    /// They say that the server has more than it can do at once.
    pub(super) fn wait(&self, now: Instant) -> bool {
        self.say_saturated(now) || self.ratio() > LATENCY_HIGH
    }

    pub(super) fn say_saturated(&self, now: Instant) -> bool {
        self.saturated.is_some_and(|at| now.saturating_duration_since(at) <= PROGRESS)
    }

    /// They have said so more than once in a row.
    pub(super) fn insist(&self, now: Instant) -> bool {
        self.say_saturated(now) && self.times > 1
    }

    fn ratio(&self) -> f64 {
        match (self.latency, self.latency_at_rest) {
            (Some(latency), Some(rest)) => (latency + LATENCY_NOISE) / (rest + LATENCY_NOISE),
            _ => 1.0,
        }
    }
}
