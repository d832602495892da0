//! The one place where the daemon reads the time; everywhere else time is a value.

use std::time::{Instant, SystemTime};

/// The monotonic time now.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day now: for people, never to decide anything.
#[allow(clippy::disallowed_methods)]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
