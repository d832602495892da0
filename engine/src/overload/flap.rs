//! Servers that return: the ramp of their cap, and the patience with those that fall again and again.

use std::time::Instant;

use super::constants::*;

#[derive(Debug, Default)]
pub(super) struct Flap {
    /// As of `at`.
    penalty: f64,
    at: Option<Instant>,
    held: bool,
    /// When it came back into service, while the ramp lasts.
    returned: Option<Instant>,
}

impl Flap {
    pub(super) fn fell(&mut self, now: Instant) {
        self.penalty = (self.penalty_at(now) + 1.0).min(PENALTY_MOST);
        self.at = Some(now);
        self.returned = None;
        self.held = false;
    }

    /// Its checks are good again. The first time in service is no return.
    pub(super) fn rose(&mut self, now: Instant) {
        if self.at.is_none() {
            return;
        }
        self.held = self.penalty_at(now) > PENALTY_HOLD;
        self.returned = Some(now);
    }

    /// Lets a server in that has waited long enough, or that is needed. True when it was held until now.
    pub(super) fn release(&mut self, now: Instant, needed: bool) -> bool {
        let free = self.held && (needed || self.penalty_at(now) < PENALTY_FREE);
        if free {
            self.held = false;
            self.returned = Some(now);
        }
        free
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    pub(super) fn is_ramping(&self, now: Instant) -> bool {
        self.returned.is_some_and(|at| now.saturating_duration_since(at) < RETURN)
    }

    /// Others have come back with it: it is in no danger of being given everything.
    pub(super) fn skip_ramp(&mut self) {
        self.returned = None;
    }

    /// Its share of the whole cap.
    pub(super) fn share(&self, now: Instant) -> f64 {
        let Some(at) = self.returned.filter(|_| self.is_ramping(now)) else { return 1.0 };
        let elapsed = now.saturating_duration_since(at).as_secs_f64() / RETURN.as_secs_f64();
        RETURN_SHARE + (1.0 - RETURN_SHARE) * elapsed
    }

    fn penalty_at(&self, now: Instant) -> f64 {
        let Some(at) = self.at else { return 0.0 };
        let halves = now.saturating_duration_since(at).as_secs_f64() / PENALTY_HALF_LIFE.as_secs_f64();
        self.penalty * (-halves).exp2()
    }
}
