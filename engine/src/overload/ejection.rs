//! Soft ejections: servers that answer what they should not, taken out only as far as the others can bear it.

use std::time::Instant;

use super::constants::*;

/// What an ejection would mean for the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Connections now.
    pub(super) active: u64,
    /// The learned cap.
    pub(super) limit: Option<u32>,
    pub(super) in_service: bool,
}

impl Load {
    fn room(&self) -> Option<u64> {
        Some(u64::from(self.limit?).saturating_sub(self.active))
    }
}

#[derive(Debug, Default)]
pub(super) struct Budget {
    last: Option<Instant>,
}

impl Budget {
    /// Whether server `index` of this pool may be taken out now, `ejected` being out already.
    pub(super) fn grant(&mut self, now: Instant, pool: &[Load], index: usize, ejected: usize) -> bool {
        let most = ((pool.len() as f64 * SOFT_SHARE) as usize).max(1);
        let soon = self.last.is_some_and(|at| now.saturating_duration_since(at) < SOFT_GAP);
        if soon || ejected >= most || !bearable(pool, index) {
            return false;
        }
        self.last = Some(now);
        true
    }
}

/// Whether so many wrong answers have another cause than the servers.
pub(super) fn is_correlated(wrong: usize, pool: usize) -> bool {
    wrong >= 2 && wrong as f64 >= CORRELATED_SHARE * pool as f64
}

/// Whether the others have room for what a server carries. One without a cap has shown no bounds yet.
fn bearable(pool: &[Load], index: usize) -> bool {
    let others: Vec<_> = (0..).zip(pool).filter(|(at, it)| *at != index && it.in_service).collect();
    let room: Option<u64> = others.iter().map(|(_, it)| it.room()).sum();
    !others.is_empty() && room.is_none_or(|room| room >= pool[index].active)
}
