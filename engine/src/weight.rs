//! The slow start ramp: a function of time, in whole weights.
//!
//! With target T and ramp S, the weight at `elapsed` is ⌈T · elapsed / S⌉, but at least 1 and at most T.
//! It never falls while time passes, and [`next_step`] is exactly the next nanosecond at which it rises.

use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The weight at `elapsed` since the recovery.
pub(crate) fn ramped(target: u32, slow_start: Duration, elapsed: Duration) -> u32 {
    if target == 0 || elapsed >= slow_start {
        return target;
    }
    // At most 2^32 · 2^94, and the quotient is at most `target` since elapsed < slow_start.
    let share = (u128::from(target) * elapsed.as_nanos()).div_ceil(slow_start.as_nanos());
    u32::try_from(share).unwrap_or(target).max(1)
}

/// The least time since the recovery, later than `elapsed`, at which the weight is another one; `None` when
/// the whole weight is reached.
pub(crate) fn next_step(target: u32, slow_start: Duration, elapsed: Duration) -> Option<Duration> {
    let weight = ramped(target, slow_start, elapsed);
    // ⌈T·e/S⌉ exceeds w as soon as T·e/S does, that is at the first whole e above w·S/T.
    (weight < target).then(|| from_nanos(u128::from(weight) * slow_start.as_nanos() / u128::from(target) + 1))
}

fn from_nanos(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).unwrap_or(u64::MAX);
    Duration::new(seconds, (nanos % NANOS_PER_SECOND) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_ramp_rises_in_whole_weights_from_one_to_the_target() {
        let at = |ms| ramped(4, Duration::from_secs(1), Duration::from_millis(ms));
        let weights: Vec<_> = [0, 1, 250, 251, 500, 501, 750, 751, 1000, 5000].map(at).to_vec();
        assert_eq!(weights, [1, 1, 1, 2, 2, 3, 3, 4, 4, 4]);
    }

    #[test]
    fn there_is_no_ramp_without_a_weight_or_a_time() {
        assert_eq!(ramped(0, Duration::from_secs(1), Duration::ZERO), 0);
        assert_eq!(next_step(0, Duration::from_secs(1), Duration::ZERO), None);
        assert_eq!(ramped(7, Duration::ZERO, Duration::ZERO), 7);
        assert_eq!(next_step(7, Duration::ZERO, Duration::ZERO), None);
        assert_eq!(next_step(1, Duration::from_secs(1), Duration::ZERO), None);
    }

    #[test]
    fn the_widest_arguments_do_not_overflow() {
        let nearly = Duration::MAX - Duration::from_nanos(1);
        assert_eq!(ramped(u32::MAX, Duration::MAX, nearly), u32::MAX);
        assert!(next_step(u32::MAX, Duration::MAX, Duration::from_secs(u64::MAX / 2)).is_some());
    }

    proptest! {
        #[test]
        fn the_weight_changes_at_the_step_and_not_before(
            target in 0_u32..70_000, slow_start in 0_u64..100_000_000_000, elapsed in 0_u64..120_000_000_000,
        ) {
            let (slow_start, elapsed) = (Duration::from_nanos(slow_start), Duration::from_nanos(elapsed));
            let weight = ramped(target, slow_start, elapsed);
            prop_assert!(weight <= target);
            prop_assert!(weight >= target.min(1));
            match next_step(target, slow_start, elapsed) {
                None => prop_assert_eq!(weight, target),
                Some(step) => {
                    prop_assert!(step > elapsed);
                    prop_assert!(ramped(target, slow_start, step) > weight);
                    prop_assert_eq!(ramped(target, slow_start, step - Duration::from_nanos(1)), weight);
                }
            }
        }
    }
}
