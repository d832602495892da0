//! A hashed timer wheel: one timer for each id, set and cleared in constant time without allocation once
//! it has grown.
//!
//! Deadlines beyond the wheel's horizon are put at its end: whoever takes a due id compares with the
//! deadline he knows and sets the timer again if it is not reached. The same laziness makes idle timeouts
//! free: traffic only notes the time, and the timer is moved when it fires.

use crate::clock::Millis;

const TICK: Millis = 16;
const SLOTS: usize = 2048;
const NONE: u32 = u32::MAX;

pub(crate) struct Wheel {
    heads: Box<[u32]>,
    links: Vec<Link>,
    /// One bit a slot, so that the next timer is found without looking at empty slots.
    occupied: [u64; SLOTS / 64],
    /// The first tick whose slot has not been emptied.
    tick: u64,
    armed: usize,
}

#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
    /// `NONE`: the timer is not set.
    slot: u32,
}

impl Wheel {
    pub(crate) fn new(now: Millis) -> Wheel {
        Wheel {
            heads: vec![NONE; SLOTS].into_boxed_slice(),
            links: Vec::new(),
            occupied: [0; SLOTS / 64],
            tick: now / TICK,
            armed: 0,
        }
    }

    /// Sets the timer of `id`, or moves it. It fires not before `deadline` or the horizon (32 s).
    pub(crate) fn set(&mut self, id: usize, deadline: Millis) {
        self.clear(id);
        if id >= self.links.len() {
            self.links.resize(id + 1, Link { previous: NONE, next: NONE, slot: NONE });
        }
        let tick = deadline.div_ceil(TICK).clamp(self.tick, self.tick + SLOTS as u64 - 1);
        let slot = (tick % SLOTS as u64) as usize;
        let next = self.heads[slot];
        self.links[id] = Link { previous: NONE, next, slot: slot as u32 };
        if next != NONE {
            self.links[next as usize].previous = id as u32;
        }
        self.heads[slot] = id as u32;
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.armed += 1;
    }

    pub(crate) fn clear(&mut self, id: usize) {
        let Some(&Link { previous, next, slot }) = self.links.get(id) else { return };
        if slot == NONE {
            return;
        }
        let slot = slot as usize;
        if previous == NONE {
            self.heads[slot] = next;
        } else {
            self.links[previous as usize].next = next;
        }
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
        if self.heads[slot] == NONE {
            self.occupied[slot / 64] &= !(1 << (slot % 64));
        }
        self.links[id].slot = NONE;
        self.armed -= 1;
    }

    /// Takes one timer that is due, until there is none.
    pub(crate) fn due(&mut self, now: Millis) -> Option<usize> {
        let last = now / TICK;
        if self.armed == 0 {
            self.tick = self.tick.max(last + 1);
            return None;
        }
        // After a stall longer than the wheel every slot is due once.
        self.tick = self.tick.max((last + 1).saturating_sub(SLOTS as u64));
        while self.tick <= last {
            let head = self.heads[(self.tick % SLOTS as u64) as usize];
            if head != NONE {
                self.clear(head as usize);
                return Some(head as usize);
            }
            self.tick += 1;
        }
        None
    }

    /// When `due` may next return something.
    pub(crate) fn next(&self) -> Option<Millis> {
        if self.armed == 0 {
            return None;
        }
        let start = (self.tick % SLOTS as u64) as usize;
        let mut offset = 0;
        while offset < SLOTS {
            let slot = (start + offset) % SLOTS;
            let word = self.occupied[slot / 64] >> (slot % 64);
            if word != 0 {
                return Some((self.tick + offset as u64 + u64::from(word.trailing_zeros())) * TICK);
            }
            offset += 64 - slot % 64;
        }
        // Only reachable when the sole occupied slots lie in the word the search began in, before its start.
        Some((self.tick + SLOTS as u64 - 1) * TICK)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a map of deadlines: nothing fires early, nothing is forgotten, nothing is later than a
        /// tick, and `next` never sleeps past a timer.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0usize..20, 0u64..40_000, 0u64..3_000), 1..200)) {
            let mut wheel = Wheel::new(0);
            let mut model = BTreeMap::new();
            let mut now = 0;
            for (id, delay, pause) in steps {
                if delay % 7 == 0 {
                    wheel.clear(id);
                    model.remove(&id);
                } else {
                    wheel.set(id, now + delay);
                    model.insert(id, now + delay);
                }
                now += pause;
                if let Some(first) = model.values().min() {
                    prop_assert!(wheel.next().unwrap() < first + TICK);
                }
                while let Some(id) = wheel.due(now) {
                    let deadline = model.remove(&id);
                    prop_assert!(deadline.is_some());
                    let deadline = deadline.unwrap();
                    if deadline > now {
                        // Only by the horizon.
                        wheel.set(id, deadline);
                        model.insert(id, deadline);
                    }
                }
                prop_assert!(model.values().all(|deadline| deadline + TICK > now));
            }
        }
    }

    #[test]
    fn a_long_sleep_costs_nothing_and_loses_nothing() {
        let mut wheel = Wheel::new(0);
        wheel.set(3, 1_000);
        assert_eq!(wheel.due(u64::from(u32::MAX)), Some(3));
        assert_eq!(wheel.due(u64::from(u32::MAX)), None);
        wheel.set(3, u64::from(u32::MAX) + 100);
        assert_eq!(wheel.due(u64::from(u32::MAX) + 99), None);
        assert_eq!(wheel.due(u64::from(u32::MAX) + 116), Some(3));
        assert_eq!(wheel.next(), None);
    }
}
