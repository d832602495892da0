//! Servers that return: the ramp of their cap, and the patience with those that fall again and again.

use std::time::{Duration, Instant};

use super::constants::*;

/// Nothing before the first fall, which most servers never see.
#[derive(Debug, Default)]
pub(super) struct Flap(Option<Box<Falls>>);

#[derive(Debug)]
struct Falls {
    /// As of `at`.
    penalty: f64,
    at: Instant,
    held: bool,
    /// When it came back into service, while the ramp lasts.
    returned: Option<Instant>,
}

impl Flap {
    pub(super) fn fell(&mut self, now: Instant) {
        let before = self.0.as_ref().map_or(0.0, |it| it.penalty_at(now));
        let penalty = (before + 1.0).min(PENALTY_MOST);
        self.0 = Some(Box::new(Falls { penalty, at: now, held: false, returned: None }));
    }

    /// Its checks are good again. The first time in service is no return.
    pub(super) fn rose(&mut self, now: Instant) {
        if let Some(falls) = &mut self.0 {
            falls.held = falls.penalty_at(now) > PENALTY_HOLD;
            falls.returned = Some(now);
        }
    }

    /// Lets a server in that has waited long enough, or that is needed. True when it was held until now.
    pub(super) fn release(&mut self, now: Instant, needed: bool) -> bool {
        let free = |it: &&mut Box<Falls>| it.held && (needed || it.penalty_at(now) < PENALTY_FREE);
        let Some(falls) = self.0.as_mut().filter(free) else { return false };
        falls.held = false;
        falls.returned = Some(now);
        true
    }

    pub(super) fn is_held(&self) -> bool {
        self.0.as_ref().is_some_and(|it| it.held)
    }

    pub(super) fn is_ramping(&self, now: Instant) -> bool {
        self.ramp(now).is_some()
    }

    /// Others have come back with it: it is in no danger of being given everything.
    pub(super) fn skip_ramp(&mut self) {
        if let Some(falls) = &mut self.0 {
            falls.returned = None;
        }
    }

    /// Its share of the whole cap.
    pub(super) fn share(&self, now: Instant) -> f64 {
        let Some(elapsed) = self.ramp(now) else { return 1.0 };
        RETURN_SHARE + (1.0 - RETURN_SHARE) * (elapsed.as_secs_f64() / RETURN.as_secs_f64())
    }

    /// Time on the ramp.
    fn ramp(&self, now: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.0.as_ref()?.returned?);
        (elapsed < RETURN).then_some(elapsed)
    }
}

impl Falls {
    fn penalty_at(&self, now: Instant) -> f64 {
        let halves = now.saturating_duration_since(self.at).as_secs_f64() / PENALTY_HALF_LIFE.as_secs_f64();
        self.penalty * (-halves).exp2()
    }
}
