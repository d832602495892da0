//! How much later than they were due adverts have left this host.

use std::time::{Duration, Instant};

/// Of all adverts since the start. What others wait for is three intervals and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lateness {
    /// Adverts that were due at a time.
    pub adverts: u64,
    /// The greatest.
    pub max: Duration,
    /// The greatest of the last minute or two.
    pub recent_max: Duration,
    /// How many were later than [`LATE`].
    pub late: u64,
}

/// What does not happen on a healthy host to a realtime thread.
pub const LATE: Duration = Duration::from_millis(1);

const MINUTE: Duration = Duration::from_secs(60);

/// Keeps count.
pub(super) struct Lateometer {
    total: Lateness,
    /// Of this minute, and when that began.
    minute: (Duration, Instant),
    /// Of the minute before.
    before: Duration,
}

impl Lateometer {
    pub(super) fn new(now: Instant) -> Self {
        Self { total: Lateness::default(), minute: (Duration::ZERO, now), before: Duration::ZERO }
    }

    /// An advert that was due then has left now.
    pub(super) fn record(&mut self, due: Instant, now: Instant) -> Duration {
        let by = now.saturating_duration_since(due);
        self.turn_page(now);
        self.total.adverts += 1;
        self.total.max = self.total.max.max(by);
        self.total.late += u64::from(by > LATE);
        self.minute.0 = self.minute.0.max(by);
        by
    }

    pub(super) fn read(&mut self, now: Instant) -> Lateness {
        self.turn_page(now);
        Lateness { recent_max: self.minute.0.max(self.before), ..self.total }
    }

    fn turn_page(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.minute.1);
        if age >= MINUTE {
            self.before = if age < 2 * MINUTE { self.minute.0 } else { Duration::ZERO };
            self.minute = (Duration::ZERO, now);
        }
    }
}

#[cfg(test)]
mod tests;
