//! The one place that reads the clock.
//!
//! CLOCK_BOOTTIME goes on while the machine is suspended, so that a gap in which others took over is seen; `Instant`
//! on Linux does not, and so its first reading is an anchor to which the difference is added.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// The time of [`crate::Machine`]. Not the time of `Instant::now()` on a machine that was suspended.
pub(crate) fn now() -> Instant {
    let (instant, boot) = anchor();
    instant + since_boot().saturating_sub(boot)
}

/// When that is on CLOCK_BOOTTIME, for a timer. What is before the program's start is at its start.
pub(crate) fn on_boot_clock(time: Instant) -> Timespec {
    let (instant, boot) = anchor();
    let time = boot + time.saturating_duration_since(instant);
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

#[allow(clippy::disallowed_methods)]
fn anchor() -> (Instant, Duration) {
    static ANCHOR: OnceLock<(Instant, Duration)> = OnceLock::new();
    *ANCHOR.get_or_init(|| (Instant::now(), since_boot()))
}

fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_same_on_both_clocks() {
        let before = since_boot();
        let time = Duration::try_from(on_boot_clock(now())).unwrap();
        let after = since_boot();
        assert!(before <= time && time <= after, "{before:?} {time:?} {after:?}");
    }

    #[test]
    fn what_was_before_the_start_is_the_start() {
        let (instant, boot) = anchor();
        let before = instant.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(Duration::try_from(on_boot_clock(before)).unwrap(), boot);
    }
}
