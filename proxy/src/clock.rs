//! The only place where the time is read.

use std::time::{Duration, Instant};

/// Milliseconds since the proxy started.
pub(crate) type Millis = u64;

/// Counts from one moment for all threads, so that what they share can carry times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    pub(crate) fn now(self) -> Millis {
        Millis::try_from(self.start.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }
}

/// Rounded up, so that no timeout is ever shorter than asked for.
pub(crate) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(Millis::MAX)
}
