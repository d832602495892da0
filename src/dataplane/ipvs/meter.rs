//! What one destination does now. Pure.
//!
//! The kernel sums its counters up every two seconds, while it tells at any moment how many entries its table has. What
//! it will count is therefore foreseen from the entries: every connection begins one, and how many expire follows from
//! the last time that both were known.
//!
//! ```text
//!   begun = connections counted + entries now − entries then + expired since then
//! ```

use std::time::{Duration, Instant};

use tidegate_ipvs::table::{DestinationEntry, Forwarding};

/// How often the kernel sums up (`ip_vs_est.c`).
const SUMMED: Duration = Duration::from_secs(2);
/// Nothing has been counted for so long: it has been summed up meanwhile, and nothing has happened.
const IDLE: Duration = Duration::from_millis(2_500);
/// What one reading says of the rate at which entries expire, and of that at which their number changes.
const SHARE: f64 = 0.5;
const INFLOW_SPAN: f64 = 1.0;
/// A reset without a word has so many bytes: 20 of TCP in 20 of IPv4 or 40 of IPv6.
const RESET: (u64, u64) = (40, 60);

/// What is known of one destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter {
    /// When it was read last, and the inactive entries then.
    read: (Instant, u32),
    /// By how many inactive entries become more a second.
    inflow: f64,
    /// When what was counted became known, the entries then, and what it was.
    known: Instant,
    entries: u64,
    counted: Counted,
    /// Before that.
    answered_before: u64,
    /// Entries that expire a second.
    expiring: f64,
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
    /// One of which nothing is known but what was just read.
    pub(super) fn new(now: Instant, entry: &DestinationEntry, is_ipv4: bool) -> Self {
        let counted = Counted::of(entry, is_ipv4);
        Self {
            read: (now, entry.inactive),
            inflow: 0.0,
            known: now,
            entries: entries(entry),
            counted,
            answered_before: counted.answered,
            expiring: 0.0,
            begun: counted.connections,
        }
    }

    /// With what was read now.
    pub(super) fn read(mut self, now: Instant, entry: &DestinationEntry, is_ipv4: bool) -> Self {
        let counted = Counted::of(entry, is_ipv4);
        if counted.connections < self.counted.connections || counted.answered < self.counted.answered {
            // The entry was made anew, or somebody has reset its counters.
            return Self::new(now, entry, is_ipv4);
        }
        let (before, inactive) = std::mem::replace(&mut self.read, (now, entry.inactive));
        let seconds = now.saturating_duration_since(before).as_secs_f64();
        if seconds > 0.0 {
            let change = (f64::from(entry.inactive) - f64::from(inactive)) / seconds;
            self.inflow += (1.0 - (-seconds / INFLOW_SPAN).exp()) * (change - self.inflow);
        }
        let since = now.saturating_duration_since(self.known);
        if counted != self.counted || since > IDLE {
            let begun = counted.connections - self.counted.connections;
            let expired = begun as f64 - (entries(entry) as f64 - self.entries as f64);
            let rate = expired.max(0.0) / since.as_secs_f64().max(f64::MIN_POSITIVE);
            self.expiring += SHARE * (rate - self.expiring);
            self.answered_before = self.counted.answered;
            (self.known, self.entries, self.counted) = (now, entries(entry), counted);
        }
        let since = now.saturating_duration_since(self.known).as_secs_f64();
        let more = entries(entry) as f64 - self.entries as f64 + self.expiring * since;
        let begun = self.counted.connections as f64 + more;
        self.begun = self.begun.max(begun.max(0.0) as u64);
        self
    }

    /// Connections that it was given in total, as of the last reading.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// Grows while it answers anything but resets: bytes in total beyond a bare header for each packet. Spread over the
    /// time until more is known, or it would seem to be silent meanwhile.
    pub(super) fn answered(&self) -> u64 {
        let since = self.read.0.saturating_duration_since(self.known);
        let share = (since.as_secs_f64() / SUMMED.as_secs_f64()).min(1.0);
        self.answered_before + ((self.counted.answered - self.answered_before) as f64 * share) as u64
    }

    /// By how many inactive entries will have become more after this time.
    pub(super) fn inflow(&self, time: Duration) -> f64 {
        self.inflow * time.as_secs_f64()
    }
}

impl Counted {
    fn of(entry: &DestinationEntry, is_ipv4: bool) -> Self {
        let total = &entry.stats.total;
        let header = if is_ipv4 { RESET.0 } else { RESET.1 };
        let answered = match entry.destination.forwarding {
            Forwarding::Nat => total.bytes_out.saturating_sub(total.packets_out.saturating_mul(header)),
            // What comes back goes another way.
            _ => 0,
        };
        Self { connections: total.connections, answered }
    }
}

fn entries(entry: &DestinationEntry) -> u64 {
    u64::from(entry.active) + u64::from(entry.inactive)
}
