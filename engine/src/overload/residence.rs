//! How long a server keeps a connection, now and at rest, by Little's law: connections over completions.

use super::constants::{COMPLETIONS, COMPLETIONS_LEAST, MEMORY, MEMORY_COMPLETIONS, RESIDENCES};
use super::sample::Change;

/// Connections and completions per second, both smoothed alike, so that their ratio is the residence.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Recent {
    active: f64,
    rate: f64,
    /// The weights of all samples, which come up to 1.
    weight: f64,
    span: f64,
}

impl Recent {
    /// After samples of nothing.
    pub(super) fn idle(weight: f64) -> Self {
        Self { weight, ..Self::default() }
    }

    /// Of the samples so far, from 0 to 1.
    pub(super) fn weight(&self) -> f64 {
        self.weight
    }

    /// `spans`: the least and the most time constant, in seconds.
    pub(super) fn sample(&mut self, change: &Change, spans: (f64, f64), rest: Option<f64>) {
        let (least, most) = spans;
        let completing = |count: f64| count / self.rate().max(f64::MIN_POSITIVE);
        let quick = rest.map_or(most, |rest| (rest * RESIDENCES).max(completing(2.0 * COMPLETIONS_LEAST)));
        self.span = completing(COMPLETIONS).clamp(least, quick.clamp(least, most));
        let share = 1.0 - (-change.seconds / self.span).exp();
        self.active += share * (change.active - self.active);
        self.rate += share * (change.completed / change.seconds - self.rate);
        self.weight += share * (1.0 - self.weight);
    }

    pub(super) fn active(&self) -> f64 {
        self.active / self.weight.max(f64::MIN_POSITIVE)
    }

    /// Completions per second.
    pub(super) fn rate(&self) -> f64 {
        self.rate / self.weight.max(f64::MIN_POSITIVE)
    }

    /// How far off the residence may be, as a share: twice the error of a mean whose parts vary as much as it.
    pub(super) fn error(&self) -> f64 {
        2.0 / (self.rate() * self.span * self.weight).max(f64::MIN_POSITIVE).sqrt()
    }

    /// In seconds; none while too little has ended, or all of it between two samples.
    pub(super) fn residence(&self) -> Option<f64> {
        let known = self.rate * self.span >= COMPLETIONS_LEAST && self.active > 0.0;
        known.then(|| self.active / self.rate)
    }
}

/// Some time at rest.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lesson {
    seconds: f64,
    /// Connections × seconds.
    area: f64,
    completed: f64,
}

impl Lesson {
    /// So many seconds of nothing.
    pub(super) fn idle(seconds: f64) -> Self {
        Self { seconds, ..Self::default() }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    pub(super) fn add(&mut self, change: &Change) {
        self.seconds += change.seconds;
        self.area += change.active * change.seconds;
        self.completed += change.completed;
    }
}

impl From<&Change> for Lesson {
    fn from(change: &Change) -> Lesson {
        let mut lesson = Lesson::default();
        lesson.add(change);
        lesson
    }
}

/// The residence at rest, over a longer memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AtRest {
    area: f64,
    completed: f64,
}

impl AtRest {
    /// What was learned before.
    pub(super) fn recalled(residence: f64) -> Self {
        Self { area: residence * COMPLETIONS, completed: COMPLETIONS }
    }

    /// `rate`: completions per second of late.
    pub(super) fn learn(&mut self, lesson: Lesson, rate: f64) {
        let memory = MEMORY.max(MEMORY_COMPLETIONS / rate.max(f64::MIN_POSITIVE));
        let keep = (-lesson.seconds / memory).exp();
        self.area = self.area * keep + lesson.area;
        self.completed = self.completed * keep + lesson.completed;
    }

    /// In seconds; none before enough has ended.
    pub(super) fn residence(&self) -> Option<f64> {
        (self.completed >= COMPLETIONS_LEAST && self.area > 0.0).then(|| self.area / self.completed)
    }

    /// From 0, nothing, to 1, as sure as it gets.
    pub(super) fn sureness(&self) -> f64 {
        (self.completed / COMPLETIONS).min(1.0)
    }
}
