//! `rr`: one after the other, weights only as on and off.

use super::Candidates;

/// The first usable destination from `position` on.
pub(super) fn pick(position: usize, candidates: &impl Candidates) -> Option<usize> {
    rotate(position, candidates).find(|&index| candidates.usable(index))
}

/// All indices, beginning with `position`.
pub(super) fn rotate(position: usize, candidates: &impl Candidates) -> impl Iterator<Item = usize> {
    let count = candidates.count();
    let start = position.checked_rem(count).unwrap_or(0);
    (start..count).chain(0..start)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Pool, client};
    use super::super::{Cursor, Plan};
    use super::*;

    #[test]
    fn takes_turns_evenly_and_passes_over_what_is_off() {
        let pool = Pool::new(&[1, 0, 7, 3]);
        let mut cursor = Cursor::new(0);
        let picks: Vec<_> =
            (0..7).map(|_| Plan::RoundRobin.pick(&mut cursor, &pool, client(0)).unwrap()).collect();
        assert_eq!(picks, [0, 2, 3, 0, 2, 3, 0]);
        assert_eq!(pick(3, &Pool::default()), None);
    }

    #[test]
    fn threads_begin_at_different_destinations() {
        let pool = Pool::new(&[1, 1, 1]);
        let first = |thread| Plan::RoundRobin.pick(&mut Cursor::new(thread), &pool, client(0)).unwrap();
        assert_eq!([first(0), first(1), first(2), first(3)], [0, 1, 2, 0]);
    }
}
