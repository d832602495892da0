//! How fast probes may run ahead of their time: as fast as we still come on time.

use std::time::{Duration, Instant};

/// From one to the next.
const FASTEST: Duration = Duration::from_millis(1);
const SLOWEST: Duration = Duration::from_millis(64);
/// Whoever is called later than this has too much to do; a good part below what counts as a late check.
const TOLERATED: Duration = Duration::from_millis(25);

/// The gap doubles each time that we are late, and shrinks by a sixteenth each time that we are not.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Duration,
    /// When the next may run; none before the first.
    next: Option<Instant>,
    /// Somebody waits for that, so that being called later tells of our lag.
    pub(super) awaited: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { gap: FASTEST, next: None, awaited: false }
    }
}

impl Pace {
    /// How many may run now.
    pub(super) fn take(&mut self, now: Instant) -> u32 {
        let next = self.next.unwrap_or(now);
        if next > now {
            return 0;
        }
        let lag = if self.awaited { now - next } else { Duration::ZERO };
        if lag > TOLERATED {
            self.gap = (self.gap * 2).min(SLOWEST);
            self.next = Some(now + self.gap);
            return 1;
        }
        self.gap = (self.gap - self.gap / 16).max(FASTEST);
        // Few, since neither is the lag longer nor the gap shorter than so many milliseconds.
        let missed = (lag.as_nanos() / self.gap.as_nanos()) as u32;
        self.next = Some(now - lag + self.gap * (missed + 1));
        missed + 1
    }

    /// When to call [`Pace::take`] next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next.filter(|_| self.awaited)
    }
}
