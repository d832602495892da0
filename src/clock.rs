//! The one place where the daemon reads the time; everywhere else time is a value.

use std::time::Instant;

/// The monotonic time now.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
