//! The learned cap of one server.
//!
//! ```text
//!              checks wait and connections wait            (or a full backlog)
//!      Open ─────────────────────────────────────────► Settling ──► Waiting ──► Steady ──┐
//!       no cap: nothing is shed for nothing               ▲   down to     a residence    │ too much in it
//!                                                         └───the cap─────for the old────┘
//! ```
//!
//! Little's law gives the cap without a model of the server: X completions per second that each take D₀ at rest need
//! X·D₀ places. What is there beyond is a queue; a little of it keeps the places filled. After each cut nothing is
//! believed before the server has come down to the cap and has had a residence's time to show what it is like there:
//! what was counted before is about a server that was too full.

use std::time::{Duration, Instant};

use super::checks::Checks;
use super::constants::*;
use super::residence::{AtRest, Lesson, Recent};
use super::sample::Change;

#[derive(Debug, Default)]
pub(super) struct Cap {
    pub(super) recent: Recent,
    /// The same over a longer time, to regulate by.
    pub(super) steady: Recent,
    pub(super) at_rest: AtRest,
    /// The shortest residence so far: at rest it is no longer.
    least: Option<f64>,
    /// What was seen since the last check: a queue that has begun meanwhile shows only in the next one.
    pub(super) unconfirmed: Lesson,
    /// The most completions per second of late.
    peak: f64,
    pub(super) limit: Option<f64>,
    phase: Phase,
    /// The cap that the last cut left: near it the cap grows slowly.
    turned: Option<f64>,
    /// For how long a full cap has shown no queue, in seconds.
    calm: f64,
    /// The cap and the residence before the last trim.
    trimmed: Option<(f64, f64)>,
    /// When clients were refused last, and the cap before they were: in case there was nobody to let them in.
    refused: Option<(Instant, Option<f64>)>,
    /// For how long the server has left clients without an answer, in seconds.
    silent: f64,
    /// Until when failed connects say nothing.
    echo: Option<Instant>,
}

/// What the estimates are worth.
#[derive(Debug, Clone, Copy, Default)]
enum Phase {
    /// They are about the server as it is.
    #[default]
    Steady,
    /// The server has more connections than the cap allows, since then.
    Settling(Instant),
    /// It has as many as it may, but those that end until then began when it was too full.
    Waiting(Instant),
}

/// What a sample's moment was like for the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// Connections now.
    pub(super) active: u64,
    /// Whether somebody was turned away.
    pub(super) shedding: bool,
    /// Whether the checks of many servers of the pool wait.
    pub(super) pool_waits: bool,
    /// The residence at rest of its peers, in seconds.
    pub(super) peers_rest: Option<f64>,
}

impl Cap {
    /// What is allowed.
    pub(super) fn limit(&self) -> Option<u32> {
        self.limit.map(|limit| limit.round().max(1.0) as u32)
    }

    /// A check was answered by a server that is not saturated.
    pub(super) fn confirm(&mut self, checks: &Checks) {
        let lesson = std::mem::take(&mut self.unconfirmed);
        if checks.is_quick() {
            self.at_rest.learn(lesson, self.recent.rate());
        }
    }

    pub(super) fn sample(&mut self, checks: &mut Checks, moment: Moment, change: &Change) {
        let rest = self.rest(&moment);
        self.recent.sample(change, SPAN, rest);
        self.steady.sample(change, STEADY_SPAN, rest);
        self.peak = (self.peak * (-change.seconds / PEAK_MEMORY).exp()).max(self.recent.rate());
        // Its backlog is full: there is no surer sign.
        let echoes = self.silent > 0.0 || self.echo.is_some_and(|until| moment.now < until);
        let refuses = change.failed >= REFUSALS && change.heard && !echoes;
        if refuses {
            checks.saturate(moment.now);
        }
        self.least = self.recent.residence().into_iter().chain(self.least).min_by(f64::total_cmp);
        self.learn(checks, &moment, change);
        self.listen(&moment, change);
        self.settle(checks, &moment);
        match self.phase {
            Phase::Settling(_) => {}
            _ if refuses && moment.active > 1 => self.cut(&moment, true),
            Phase::Waiting(_) => {}
            Phase::Steady if moment.active > 1 && self.waits(checks, &moment) => self.cut(&moment, false),
            Phase::Steady => {
                if let Some(limit) = self.limit {
                    self.limit = Some(self.regulated(checks, limit, &moment, change.seconds));
                }
            }
        }
    }

    /// Connections per second that it can serve, as far as is known.
    pub(super) fn capacity(&self) -> Option<f64> {
        Some(self.limit? / self.at_rest.residence()?)
    }

    /// The residence at rest: its own as soon as it is known.
    fn rest(&self, moment: &Moment) -> Option<f64> {
        self.at_rest.residence().or(moment.peers_rest)
    }

    fn learn(&mut self, checks: &Checks, moment: &Moment, change: &Change) {
        let shorter = self.recent.residence().zip(self.at_rest.residence());
        if shorter.is_some_and(|(now, rest)| now < rest * (1.0 - self.recent.error())) {
            self.at_rest.learn(change.into(), self.recent.rate());
        } else if self.teaches(checks, moment) {
            self.unconfirmed.add(change);
        } else {
            self.unconfirmed = Lesson::default();
        }
    }

    /// What comes out of a silence is about the silence.
    fn listen(&mut self, moment: &Moment, change: &Change) {
        if !change.heard && change.begun > 0 {
            self.silent += change.seconds;
        } else if change.heard && std::mem::take(&mut self.silent) >= SILENCE {
            let until = moment.now + ECHO;
            (self.phase, self.echo) = (Phase::Waiting(until), Some(until));
        }
    }

    fn settle(&mut self, checks: &mut Checks, moment: &Moment) {
        let now = moment.now;
        if let (Phase::Settling(since), Some(limit)) = (self.phase, self.limit) {
            let has_come_down = self.limit().is_some_and(|limit| moment.active <= limit.into());
            // Connections that last for hours do not go, and do no harm if checks are quick.
            let bears = now.saturating_duration_since(since) >= SETTLING && checks.are_calm(now);
            if bears {
                self.limit = Some(limit.max(moment.active as f64));
            }
            if has_come_down || bears {
                let rest = self.rest(moment).unwrap_or_default().min(WAIT_MOST);
                self.phase = Phase::Waiting(now + Duration::from_secs_f64(rest));
            }
        }
        if let Phase::Waiting(until) = self.phase
            && until <= now
        {
            self.begin_anew(checks);
        }
    }

    /// Nothing that was counted before is believed.
    fn begin_anew(&mut self, checks: &mut Checks) {
        self.phase = Phase::Steady;
        (self.recent, self.steady) = (Recent::default(), Recent::default());
        checks.forget();
    }

    /// The server is out of service: it had not been full when it refused clients.
    pub(super) fn let_go(&mut self, checks: &mut Checks, now: Instant) {
        if let Some((at, before)) = self.refused.take()
            && now.saturating_duration_since(at) < SETTLING
        {
            self.limit = before;
            self.begin_anew(checks);
        }
    }

    /// Whether this moment says what rest is like.
    fn teaches(&self, checks: &Checks, moment: &Moment) -> bool {
        let free =
            self.limit.is_none_or(|limit| (moment.active as f64) < BINDING * limit) && !moment.shedding;
        // Whoever does not know what rest is like finds out after a deep cut.
        let unknown = self.at_rest.residence().is_none() && self.limit.is_some();
        (free || unknown) && checks.are_calm(moment.now) && matches!(self.phase, Phase::Steady)
    }

    /// It has more than its cap allows.
    pub(super) fn is_too_full(&self) -> bool {
        matches!(self.phase, Phase::Settling(_))
    }

    /// Checks wait, and so do connections.
    fn waits(&self, checks: &Checks, moment: &Moment) -> bool {
        let own = self.is_too_full() || checks.wait(moment.now);
        if !own && !moment.pool_waits {
            return false;
        }
        let rest = self.rest(moment);
        let Some((residence, rest)) = self.recent.residence().zip(rest.or(self.least)) else {
            // Nothing is known of it; once may be an accident.
            return rest.is_none() && checks.insist(moment.now);
        };
        // Where only the checks of others wait more is needed.
        let sure = if own { 1.0 } else { 2.0 };
        let active = self.recent.active();
        let queue = active * (1.0 - rest / residence);
        queue > sure * QUEUE_HIGH.max(active * QUEUE_MOST_SHARE.max(self.recent.error()))
    }

    /// The first cut trusts the most that the server has done lately, the next ones what it does now.
    fn cut(&mut self, moment: &Moment, refuses: bool) {
        let (active, rate) = (self.recent.active(), self.recent.rate());
        let now = moment.active as f64;
        let held = match self.rest(moment) {
            Some(residence) if self.limit.is_none() => self.peak.max(rate) * residence,
            Some(residence) => (rate * residence).max(active * CUT_LEAST),
            None => {
                let least = self.least.map_or(f64::INFINITY, |residence| rate * residence);
                least.min(now * CUT_UNKNOWN)
            }
        };
        let most = if refuses { now.max(active) * CUT_REFUSED } else { now };
        if refuses {
            let lately = |at: Instant| moment.now.saturating_duration_since(at) < SETTLING;
            let before = self.refused.filter(|(at, _)| lately(*at)).map_or(self.limit, |(_, before)| before);
            self.refused = Some((moment.now, before));
        }
        let limit = (held + HEADROOM).min(most).min(self.limit.unwrap_or(f64::INFINITY)).max(1.0);
        self.lower(moment.now, limit);
        self.trimmed = None;
        if refuses {
            self.turned = None;
        }
    }

    fn lower(&mut self, now: Instant, limit: f64) {
        self.limit = Some(limit);
        self.turned = Some(limit);
        self.phase = Phase::Settling(now);
        self.calm = 0.0;
    }

    /// The cap after `seconds` more of what was seen.
    fn regulated(&mut self, checks: &Checks, limit: f64, moment: &Moment, seconds: f64) -> f64 {
        if (moment.active as f64) < BINDING * limit - 1.0 {
            return limit;
        }
        let Some((residence, rest)) = self.steady.residence().zip(self.rest(moment).or(self.least)) else {
            return if checks.are_calm(moment.now) { self.grown(limit, seconds) } else { limit };
        };
        let share = 1.0 - rest / residence;
        let queue = self.steady.active() * share;
        if queue < QUEUE_LEAST.max(QUEUE_LEAST_SHARE * limit) {
            self.trimmed = None;
            return self.grown(limit, seconds);
        }
        self.calm = 0.0;
        if queue < QUEUE_MOST.max(limit * QUEUE_MOST_SHARE.max(self.steady.error())) {
            return limit;
        }
        // Fewer connections at a server that is too full take less time; if these do not, it was not too full.
        let (from, then) = *self.trimmed.get_or_insert((limit, residence));
        if limit < TRIMMED * from && residence > NO_SHORTER * then {
            self.trimmed = None;
            self.at_rest = AtRest::recalled(residence);
            return from;
        }
        // Half of it: a server beyond its knee has slowed down, and loses more than its queue.
        let trimmed = (limit * (1.0 - (share / 2.0).min(TRIM_MOST))).max(1.0);
        self.lower(moment.now, trimmed);
        trimmed
    }

    /// Slowly near the cap that was found last, faster the farther away, and the longer there is no queue.
    fn grown(&mut self, limit: f64, seconds: f64) -> f64 {
        self.calm += seconds;
        let away = self.turned.map_or(1.0, |turned| (limit / turned - 1.0).abs());
        let pace = (away / AWAY).max(self.calm / CALM).clamp(PACE.0, PACE.1);
        limit + (limit * GROW * pace * seconds).max(HEADROOM / 4.0 * pace * seconds)
    }
}
