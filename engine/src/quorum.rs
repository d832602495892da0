//! Quorum and hysteresis: two thresholds and the band between them, in which nothing changes.

/// What is asked of the sum W of the weights of healthy servers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Band {
    /// Q.
    pub(crate) quorum: u32,
    /// H.
    pub(crate) hysteresis: u32,
}

impl Band {
    /// Whether a quorum that was `held` (or not) is held at sum `sum`.
    pub(crate) fn holds(self, held: bool, sum: u64) -> bool {
        sum >= if held { self.lost_below() } else { self.gained_at() }
    }

    /// The least W at which a lost quorum is gained: Q + H, and never 0.
    pub(crate) fn gained_at(self) -> u64 {
        (u64::from(self.quorum) + u64::from(self.hysteresis)).max(1)
    }

    /// The least W at which a held quorum is kept: Q − H, and never 0.
    pub(crate) fn lost_below(self) -> u64 {
        u64::from(self.quorum.saturating_sub(self.hysteresis)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gained_at_the_upper_edge_lost_below_the_lower_one() {
        let band = Band { quorum: 10, hysteresis: 3 };
        for (held, sum, expected) in [
            (false, 12, false),
            (false, 13, true),
            (true, 12, true),
            (true, 7, true),
            (true, 6, false),
            (false, 7, false),
        ] {
            assert_eq!(band.holds(held, sum), expected, "held {held}, W {sum}");
        }
    }

    #[test]
    fn nothing_is_never_a_quorum() {
        for band in [Band { quorum: 0, hysteresis: 0 }, Band { quorum: 1, hysteresis: 5 }] {
            assert!(!band.holds(true, 0));
            assert!(!band.holds(false, 0));
            assert!(band.holds(true, 1));
        }
        assert!(Band { quorum: 0, hysteresis: 0 }.holds(false, 1));
    }

    #[test]
    fn the_widest_band_does_not_overflow() {
        let band = Band { quorum: u32::MAX, hysteresis: u32::MAX };
        assert_eq!((band.gained_at(), band.lost_below()), (2 * u64::from(u32::MAX), 1));
    }
}
