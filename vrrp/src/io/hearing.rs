//! Until when everything that was received has been read.

use std::time::Instant;

/// So many batches are more than a listener's queue has room for, where the kernel counts 512 bytes or more for each
/// packet.
const BATCHES: u32 = 32;

/// In a flood the queues are never empty. But a queue is in order: what was in it at a time has been read once as much
/// has been read as it can hold.
pub(super) struct Hearing {
    pub(super) heard: Instant,
    /// Since when queues were left with something in them, and for how many turns.
    behind: Option<(Instant, u32)>,
}

impl Hearing {
    pub(super) fn new(now: Instant) -> Self {
        Self { heard: now, behind: None }
    }

    /// A batch was read from each listener, from this time on; and whether that was all there was.
    pub(super) fn note(&mut self, now: Instant, all: bool) {
        let (since, turns) = self.behind.unwrap_or((now, 0));
        if all {
            self.heard = now;
            self.behind = None;
        } else if turns + 1 < BATCHES {
            self.behind = Some((since, turns + 1));
        } else {
            self.heard = since;
            self.behind = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::io::clock;

    #[test]
    fn a_flood_ends_nobodys_hearing() {
        let start = clock::now();
        let at = |second| start + Duration::from_secs(second);
        let mut hearing = Hearing::new(start);
        hearing.note(at(1), true);
        assert_eq!(hearing.heard, at(1));
        for turn in 0..BATCHES {
            assert_eq!(hearing.heard, at(1));
            hearing.note(at(2 + u64::from(turn)), false);
        }
        assert_eq!(hearing.heard, at(2));
        hearing.note(at(100), false);
        assert_eq!(hearing.heard, at(2));
        hearing.note(at(101), true);
        assert_eq!(hearing.heard, at(101));
    }
}
