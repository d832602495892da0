//! The intervals of RFC 9568 §6.1 and RFC 3768 §6.1, to the nanosecond.

use std::time::Duration;

use crate::config::Version;

/// How much longer a lower priority waits, so that the highest is first. In version 2 it does not depend on the
/// interval.
pub(crate) fn skew_time(version: Version, priority: u8, interval: Duration) -> Duration {
    let whole = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval,
    };
    whole * (256 - u32::from(priority)) / 256
}

/// How long a Backup that hears nothing waits.
pub(crate) fn active_down_interval(version: Version, priority: u8, interval: Duration) -> Duration {
    3 * interval + skew_time(version, priority, interval)
}

/// How long a successor may take that has not heard the resignation: three intervals, and no skew time is longer
/// than a fourth.
pub(crate) fn resignation(interval: Duration) -> Duration {
    4 * interval
}
