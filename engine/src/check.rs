//! One check of one real server: outcomes in, a verdict out.
//!
//! ```text
//!                 first pass                  `fall` failures in a row, unless only_admission
//!     Unknown ─────────────────► Up{failures} ──────────────► Down{passes}
//!        │                            ◄──────────────────────     ▲
//!        │                              `rise` passes in a row    │
//!        └────────────────────────────────────────────────────────┘
//!                 first failure
//! ```
//!
//! The first conclusive outcome of an unknown check is believed at once: a director that has just started
//! must not serve nobody for `rise` intervals. A check that is initially up starts in Up and takes `fall`
//! failures like any other; with `only_admission` as well it never removes a server. An outcome that says
//! nothing about the server ([`OutcomeKind::NotRun`]) is shown and changes nothing.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::advice::Advice;
use crate::config::{self, Initially};
use crate::input::{Observation, Outcome, OutcomeKind, Told};
use crate::overload::Reading;

/// Runs of equal outcomes that are kept for people.
const HISTORY: usize = 4;

/// What a check says about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// Nothing conclusive yet: counts as down, unless the server is assumed up.
    #[default]
    Unknown,
    /// Up, or assumed to be until `fall` failures say otherwise.
    Up {
        /// Failures in a row so far.
        failures: u32,
    },
    /// Down.
    Down {
        /// Passes in a row so far.
        passes: u32,
    },
}

/// Why something is as it is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Words {
    Said(Cow<'static, str>),
    /// The first outcome, a pass with this detail. Most servers know of no other reason: it takes no memory besides that
    /// of the history.
    FirstPass(Arc<str>),
}

pub(crate) fn said(words: impl Into<Cow<'static, str>>) -> Words {
    Words::Said(words.into())
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Words::Said(words) => f.write_str(words),
            Words::FirstPass(detail) => {
                write!(f, "first outcome: {}", Told(OutcomeKind::Passed, detail))
            }
        }
    }
}

/// Equal outcomes in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What came of each.
    pub outcome: Outcome,
    /// How many there were.
    pub times: u32,
    /// When the first one ended.
    pub first: Instant,
    /// When the last one ended.
    pub last: Instant,
    /// How long the last one took.
    pub latency: Duration,
}

/// What is known from one check about one real server.
#[derive(Debug, Default)]
pub(crate) struct Check {
    pub(crate) verdict: Verdict,
    /// At most [`HISTORY`], the oldest first. Bounded by runs and not by outcomes: a steady server costs one.
    pub(crate) history: Vec<Run>,
    /// Of the last pass.
    pub(crate) advice: Option<Advice>,
}

impl Check {
    /// What it counts as when nothing is known.
    pub(crate) fn begin(mut self, initially: Initially) -> Check {
        if self.verdict == Verdict::Unknown && initially == Initially::Up {
            self.verdict = Verdict::Up { failures: 0 };
        }
        self
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.verdict, Verdict::Up { .. })
    }

    /// Takes an outcome in. Why, when the check went up or down.
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        rules: &config::Check,
        seen: &Observation,
        reading: Reading,
    ) -> Option<Words> {
        self.remember(now, seen);
        let outcome = &seen.outcome;
        let (verdict, reason) = match outcome.kind {
            _ if reading == Reading::Void => return None,
            OutcomeKind::NotRun => return None,
            kind if kind.is_failure() && reading == Reading::Hasty => self.verdict.condemn(rules, outcome),
            kind if kind.is_failure() => self.verdict.fail(rules, outcome),
            _ => {
                self.advice = outcome.advice;
                self.verdict.pass(rules, outcome)
            }
        };
        self.verdict = verdict;
        reason
    }

    /// Why a check that is not up is not.
    pub(crate) fn holds_back(&self) -> Words {
        match self.history.iter().rev().find(|run| run.outcome.kind.is_failure()) {
            Some(run) => said(format!("still down, the last failure: {}", run.outcome)),
            None if self.verdict == Verdict::Unknown => said("no outcome yet"),
            None => said("still down"),
        }
    }

    fn remember(&mut self, now: Instant, seen: &Observation) {
        match self.history.last_mut() {
            Some(run) if run.outcome == seen.outcome => {
                run.times = run.times.saturating_add(1);
                run.last = now;
                run.latency = seen.latency;
            }
            _ => {
                if self.history.len() == HISTORY {
                    self.history.remove(0);
                }
                self.history.reserve_exact(1);
                let (outcome, latency) = (seen.outcome.clone(), seen.latency);
                self.history.push(Run { outcome, times: 1, first: now, last: now, latency });
            }
        }
    }
}

impl Verdict {
    /// One failure takes it down.
    fn condemn(self, rules: &config::Check, outcome: &Outcome) -> (Verdict, Option<Words>) {
        match self {
            Verdict::Up { .. } if !rules.only_admission => {
                let reason = format!("no client gets through, and the check says: {outcome}");
                (Verdict::Down { passes: 0 }, Some(said(reason)))
            }
            _ => self.fail(rules, outcome),
        }
    }

    fn pass(self, rules: &config::Check, outcome: &Outcome) -> (Verdict, Option<Words>) {
        let up = Verdict::Up { failures: 0 };
        match self {
            Verdict::Unknown => (up, Some(Words::FirstPass(outcome.detail.clone()))),
            Verdict::Up { .. } => (up, None),
            Verdict::Down { passes } => match passes.saturating_add(1) {
                1 if rules.rise <= 1 => (up, Some(said("1 pass (rise 1)"))),
                n if n >= rules.rise => {
                    (up, Some(said(format!("{n} passes in a row (rise {})", rules.rise))))
                }
                passes => (Verdict::Down { passes }, None),
            },
        }
    }

    fn fail(self, rules: &config::Check, outcome: &Outcome) -> (Verdict, Option<Words>) {
        let down = Verdict::Down { passes: 0 };
        match self {
            Verdict::Unknown => (down, Some(said(format!("first outcome: {outcome}")))),
            Verdict::Down { .. } => (down, None),
            Verdict::Up { failures } => match failures.saturating_add(1) {
                failures if rules.only_admission || failures < rules.fall => (Verdict::Up { failures }, None),
                1 => (down, Some(said(format!("1 failure (fall 1): {outcome}")))),
                n => {
                    let reason = format!("{n} failures in a row (fall {}), the last: {outcome}", rules.fall);
                    (down, Some(said(reason)))
                }
            },
        }
    }
}
