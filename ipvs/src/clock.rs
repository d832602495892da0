//! The one place that reads the clock.

use std::time::Instant;

#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
