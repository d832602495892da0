//! What one destination does now. Pure.
//!
//! The kernel sums its counters up every two seconds, while it tells at any moment how many entries its table has. What
//! it will count is therefore foreseen from the entries: every connection begins one, and how many expire follows from
//! the last times that both were known.
//!
//! ```text
//!   begun since the last reading = entries now − entries then + expired meanwhile
//! ```

use std::time::{Duration, Instant};

use tidegate_ipvs::table::{DestinationEntry, Forwarding};

/// How often the kernel sums up (`ip_vs_est.c`).
const SUMMED: Duration = Duration::from_secs(2);
/// Nothing has been counted for so long: it has been summed up meanwhile, and nothing has happened.
const IDLE: Duration = Duration::from_millis(2_500);
/// How much the last sum says of the rate at which entries expire.
const SHARE: f64 = 0.5;
/// In so many seconds what was foreseen comes back to what was counted.
const CORRECTED: f64 = 4.0;
/// Over so many seconds the change of the inactive entries is smoothed.
const INFLOW_SPAN: f64 = 1.0;
/// What is known of one destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter {
    /// When it was read last, and the entries then.
    read: Instant,
    inactive: f64,
    entries: f64,
    /// By how many inactive entries become more a second.
    inflow: f64,
    /// When what was counted became known, the entries then, and what it was.
    known: Instant,
    entries_then: f64,
    counted: Counted,
    /// Before that.
    answered_before: u64,
    /// Entries that expire a second; and so many are taken to, which brings what was foreseen back to what was counted.
    expiring: f64,
    taken: f64,
    foreseen: f64,
    begun: u64,
}

/// What the kernel has summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    connections: u64,
    /// See [`Meter::answered`].
    answered: u64,
}

impl Meter {
    /// One of which nothing is known but what was just read. A packet of so many bare bytes says nothing for the server.
    pub(super) fn new(now: Instant, entry: &DestinationEntry, bare: u64) -> Self {
        let counted = Counted::of(entry, bare);
        Self {
            read: now,
            inactive: entry.inactive.into(),
            entries: entries(entry),
            inflow: 0.0,
            known: now,
            entries_then: entries(entry),
            counted,
            answered_before: counted.answered,
            expiring: 0.0,
            taken: 0.0,
            foreseen: counted.connections as f64,
            begun: counted.connections,
        }
    }

    /// With what was read now.
    pub(super) fn read(mut self, now: Instant, entry: &DestinationEntry, bare: u64) -> Self {
        let counted = Counted::of(entry, bare);
        if counted.connections < self.counted.connections || counted.answered < self.counted.answered {
            // The entry was made anew, or somebody has reset its counters.
            return Self::new(now, entry, bare);
        }
        let seconds = now.saturating_duration_since(self.read).as_secs_f64();
        let (inactive, entries) = (f64::from(entry.inactive), entries(entry));
        if seconds > 0.0 {
            let change = (inactive - self.inactive) / seconds;
            self.inflow += (1.0 - (-seconds / INFLOW_SPAN).exp()) * (change - self.inflow);
        }
        self.foreseen += entries - self.entries + self.taken * seconds;
        (self.read, self.inactive, self.entries) = (now, inactive, entries);
        let since = now.saturating_duration_since(self.known);
        if counted != self.counted || since > IDLE {
            let begun = (counted.connections - self.counted.connections) as f64;
            let expired = (begun - (entries - self.entries_then)).max(0.0);
            self.expiring += SHARE * (expired / since.as_secs_f64().max(f64::MIN_POSITIVE) - self.expiring);
            let counts = counted.connections as f64;
            self.foreseen = self.foreseen.max(counts);
            self.taken = (self.expiring + (counts - self.foreseen) / CORRECTED).max(0.0);
            self.answered_before = self.counted.answered;
            (self.known, self.entries_then, self.counted) = (now, entries, counted);
        }
        self.begun = self.begun.max(self.foreseen as u64);
        self
    }

    /// Connections that it was given in total, as of the last reading.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// Grows while it answers anything but resets: bytes in total beyond the bare ones of each packet. Spread over the
    /// time until more is known, or it would seem to be silent meanwhile.
    pub(super) fn answered(&self) -> u64 {
        let since = self.read.saturating_duration_since(self.known);
        let share = (since.as_secs_f64() / SUMMED.as_secs_f64()).min(1.0);
        self.answered_before + ((self.counted.answered - self.answered_before) as f64 * share) as u64
    }

    /// By how many inactive entries will have become more after this time.
    pub(super) fn inflow(&self, time: Duration) -> f64 {
        self.inflow * time.as_secs_f64()
    }
}

impl Counted {
    fn of(entry: &DestinationEntry, bare: u64) -> Self {
        let total = &entry.stats.total;
        let answered = match entry.destination.forwarding {
            Forwarding::Nat => total.bytes_out.saturating_sub(total.packets_out.saturating_mul(bare)),
            // What comes back goes another way.
            _ => 0,
        };
        Self { connections: total.connections, answered }
    }
}

fn entries(entry: &DestinationEntry) -> f64 {
    f64::from(entry.active) + f64::from(entry.inactive)
}
