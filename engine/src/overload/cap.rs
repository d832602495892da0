//! The learned cap of one server.
//!
//! ```text
//!              checks wait and connections wait            (or a full backlog)
//!      Open ─────────────────────────────────────────► Limited ◄──┐ what holds connections back and
//!       no cap: nothing is shed for nothing                 └─────┘ has too much or too little in it
//! ```
//!
//! Little's law gives the cap without a model of the server: X completions per second that each take D₀ at rest need
//! X·D₀ places. What is there beyond is a queue; a little of it keeps the places filled.

use std::time::Instant;

use super::constants::*;
use super::residence::{AtRest, Lesson, Recent};
use super::sample::Change;

#[derive(Debug, Default)]
pub(super) struct Cap {
    pub(super) recent: Recent,
    /// The same over a longer time, to regulate by.
    steady: Recent,
    pub(super) at_rest: AtRest,
    /// The shortest residence so far: at rest it is no longer.
    least: Option<f64>,
    /// What was seen since the last check: a queue that has begun meanwhile shows only in the next one.
    unconfirmed: Lesson,
    /// The most completions per second of late.
    peak: f64,
    /// Of checks, in seconds: the last one, and at rest.
    latency: Option<f64>,
    pub(super) latency_at_rest: Option<f64>,
    pub(super) limit: Option<f64>,
    /// After a cut, until what is there has come down to it.
    settling: bool,
    /// For how long a full cap has shown no queue, in seconds.
    calm: f64,
    /// The cap and the residence when trimming began.
    trimmed: Option<(f64, f64)>,
    /// When checks or clients last said that the server is saturated.
    saturated: Option<Instant>,
}

/// What a sample's moment was like for the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// Connections now.
    pub(super) active: u64,
    /// Whether somebody was turned away.
    pub(super) shedding: bool,
}

impl Cap {
    /// What is allowed.
    pub(super) fn limit(&self) -> Option<u32> {
        self.limit.map(|limit| limit.round().max(1.0) as u32)
    }

    /// A check was answered, or given up, after so many seconds; a full backlog answers at once and tells no time.
    pub(super) fn check(&mut self, now: Instant, latency: Option<f64>, saturated: bool) {
        self.saturated = if saturated { Some(now) } else { self.saturated };
        let Some(latency) = latency else { return };
        self.latency = Some(latency);
        if saturated {
            return;
        }
        let rest = self.latency_at_rest.unwrap_or(latency);
        let share = match self.latency_ratio() {
            _ if latency < rest => LATENCY_FALL,
            ratio if ratio < LATENCY_HIGH => LATENCY_RISE,
            _ => 0.0,
        };
        self.latency_at_rest = Some(rest + share * (latency - rest));
        let lesson = std::mem::take(&mut self.unconfirmed);
        if self.latency_ratio() < LATENCY_LOW {
            self.at_rest.learn(lesson, self.recent.rate());
        }
    }

    pub(super) fn sample(&mut self, moment: Moment, change: &Change) {
        let rest = self.at_rest.residence();
        self.recent.sample(change, SPAN, rest);
        self.steady.sample(change, STEADY_SPAN, rest);
        self.peak = (self.peak * (-change.seconds / PEAK_MEMORY).exp()).max(self.recent.rate());
        // Its backlog is full: there is no surer sign.
        let refuses = change.failed >= REFUSALS && change.heard;
        if refuses {
            self.saturated = Some(moment.now);
        }
        self.least = self.recent.residence().into_iter().chain(self.least).min_by(f64::total_cmp);
        let shorter = self.recent.residence().zip(rest).is_some_and(|(now, rest)| now < rest);
        if shorter {
            self.at_rest.learn(change.into(), self.recent.rate());
        } else if self.teaches(&moment) {
            self.unconfirmed.add(change);
        } else {
            self.unconfirmed = Lesson::default();
        }
        if self.settling && self.limit().is_some_and(|limit| moment.active <= limit.into()) {
            self.settling = false;
        }
        if !self.settling && moment.active > 1 && (refuses || self.waits(moment.now)) {
            self.cut(moment.active, refuses);
        } else if let Some(limit) = self.limit.filter(|_| !self.settling) {
            self.limit = Some(self.regulated(limit, &moment, change.seconds));
        }
    }

    /// Connections per second that it can serve, as far as is known.
    pub(super) fn capacity(&self) -> Option<f64> {
        Some(self.limit? / self.at_rest.residence()?)
    }

    fn latency_ratio(&self) -> f64 {
        match (self.latency, self.latency_at_rest) {
            (Some(latency), Some(rest)) => (latency + LATENCY_NOISE) / (rest + LATENCY_NOISE),
            _ => 1.0,
        }
    }

    fn recently_saturated(&self, now: Instant) -> bool {
        self.saturated.is_some_and(|at| now.saturating_duration_since(at) <= PROGRESS)
    }

    /// Whether this moment says what rest is like.
    fn teaches(&self, moment: &Moment) -> bool {
        let free =
            self.limit.is_none_or(|limit| (moment.active as f64) < BINDING * limit) && !moment.shedding;
        // Whoever does not know what rest is like finds out after a deep cut.
        let unknown = self.at_rest.sureness() < 1.0 && self.limit.is_some() && !self.settling;
        let calm = !self.recently_saturated(moment.now) && self.latency_ratio() < LATENCY_LOW;
        (free || unknown) && calm
    }

    /// Checks wait, and so do connections.
    fn waits(&self, now: Instant) -> bool {
        let saturated = self.recently_saturated(now);
        match self.recent.residence().zip(self.at_rest.residence()) {
            Some((residence, rest)) => {
                (saturated || self.latency_ratio() > LATENCY_HIGH) && residence > RESIDENCE_HIGH * rest
            }
            None => saturated,
        }
    }

    /// The first cut trusts the most that the server has done lately, the next ones what it does now.
    fn cut(&mut self, now: u64, refuses: bool) {
        let (active, rate) = (self.recent.active(), self.recent.rate());
        let held = match self.at_rest.residence() {
            Some(residence) if self.limit.is_none() => self.peak.max(rate) * residence,
            Some(residence) => (rate * residence).max(active * CUT_LEAST),
            None => {
                let least = self.least.map_or(f64::INFINITY, |residence| rate * residence);
                least.min(now as f64 * CUT_UNKNOWN)
            }
        };
        let most = now as f64 * if refuses { CUT_REFUSED } else { 1.0 };
        let limit = (held + HEADROOM).min(most).min(self.limit.unwrap_or(f64::INFINITY)).max(1.0);
        self.limit = Some(limit);
        (self.settling, self.calm, self.trimmed) = (true, 0.0, None);
    }

    /// The cap after `seconds` more of what was seen.
    fn regulated(&mut self, limit: f64, moment: &Moment, seconds: f64) -> f64 {
        if (moment.active as f64) < BINDING * limit - 1.0 {
            return limit;
        }
        let ratio = self.latency_ratio();
        let least = HEADROOM / 4.0 * seconds;
        if ratio > LATENCY_HIGH {
            self.calm = 0.0;
            return (limit - (limit * TRIM * seconds).max(least)).max(1.0);
        }
        let Some((residence, rest)) = self.steady.residence().zip(self.at_rest.residence()) else {
            return if ratio < LATENCY_LOW { limit + (limit * GROW * seconds).max(least) } else { limit };
        };
        let queue = self.steady.active() * (1.0 - rest / residence);
        if queue < QUEUE_LEAST.max(QUEUE_LEAST_SHARE * limit) {
            self.trimmed = None;
            self.calm += seconds;
            let step = GROW * (1.0 + (self.calm / CALM).min(1.0));
            return limit + (limit * step * seconds).max(least);
        }
        self.calm = 0.0;
        if queue < QUEUE_MOST.max(QUEUE_MOST_SHARE * limit) {
            return limit;
        }
        let (from, then) = *self.trimmed.get_or_insert((limit, residence));
        if limit < TRIMMED * from {
            // Fewer connections at a server that is too full take less time; if these do not, it was not too full.
            self.trimmed = None;
            if residence > NO_SHORTER * then {
                self.at_rest = AtRest::recalled(residence);
                return from;
            }
        }
        (limit - (limit * TRIM * seconds).max(least)).max(1.0)
    }
}
