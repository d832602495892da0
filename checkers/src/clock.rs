//! The one place that reads the clock.

use std::time::Instant;

/// The time, which stands still in a test that has paused tokio's.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
