//! Weights that checks ask for.
//!
//! A check may say with a pass what weight its server should have. With configured weight w and the checks' own
//! weights wᵢ, the server gets w + Σ(wᵢ − w), from 0 to the highest weight there is: the only check's weight as it
//! is, and otherwise what all of them add and take away. A check that asks for 0 gets it whatever the others say.

use crate::engine::WEIGHT_MAX;

/// What a check asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// This weight.
    Weight(u32),
    /// So many hundredths of the configured weight, rounded up; over 100 for more of it.
    Percent(u32),
}

impl Advice {
    fn weight(self, configured: u32) -> u32 {
        match self {
            Advice::Weight(weight) => weight,
            Advice::Percent(percent) => {
                let weight = (u64::from(configured) * u64::from(percent)).div_ceil(100);
                u32::try_from(weight).unwrap_or(u32::MAX)
            }
        }
    }
}

/// The weight that comes of all that is asked for; none when nobody asks.
pub(crate) fn weight(configured: u32, advice: impl Iterator<Item = Advice>) -> Option<u32> {
    let (mut asked, mut sum) = (false, i64::from(configured));
    for advice in advice {
        match advice.weight(configured) {
            0 => return Some(0),
            weight => sum += i64::from(weight) - i64::from(configured),
        }
        asked = true;
    }
    // Never negative after the clamp.
    asked.then(|| u32::try_from(sum.clamp(0, i64::from(WEIGHT_MAX))).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(configured: u32, advice: &[Advice]) -> Option<u32> {
        weight(configured, advice.iter().copied())
    }

    #[test]
    fn what_is_asked_for_adds_up() {
        use Advice::{Percent, Weight};
        assert_eq!(of(10, &[]), None);
        assert_eq!(of(10, &[Weight(3)]), Some(3));
        assert_eq!(of(10, &[Percent(50)]), Some(5));
        assert_eq!(of(1, &[Percent(1)]), Some(1));
        assert_eq!(of(10, &[Percent(250)]), Some(25));
        assert_eq!(of(10, &[Weight(7), Percent(120)]), Some(9));
        assert_eq!(of(10, &[Weight(1), Weight(1)]), Some(0));
        assert_eq!(of(10, &[Weight(65_535), Weight(0)]), Some(0));
        assert_eq!(of(10, &[Weight(u32::MAX), Percent(u32::MAX)]), Some(65_535));
        assert_eq!(of(0, &[Percent(100)]), Some(0));
    }
}
