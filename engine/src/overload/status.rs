//! The numbers behind the protection's decisions.

use super::cap::Cap;
use super::{Guard, Overload, Stand};
use crate::config::Mode;

/// Demand against capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OverloadStatus {
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// Whether the dataplane delivers samples.
    pub sampled: bool,
    /// New connections per second that are served or turned away.
    pub demand: f64,
    /// Connections per second that the servers in service can serve; none while a cap is not known.
    pub capacity: Option<f64>,
    /// Connections turned away, per second.
    pub turned_away: f64,
}

/// The cap of one server and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServerOverloadStatus {
    /// What becomes of it beside what its checks say.
    pub stand: Stand,
    /// The most connections: the least of what was learned, configured, and allowed on return.
    pub cap: Option<u32>,
    /// What was learned, without the rest.
    pub learned: Option<u32>,
    /// How long a connection lasts now and when none waits, in seconds.
    pub residence: (Option<f64>, Option<f64>),
    /// Completions per second.
    pub rate: f64,
    /// How sure the residence at rest is, from 0 to 1.
    pub sureness: f64,
}

impl Overload {
    pub(crate) fn status(&self) -> OverloadStatus {
        let in_service = || self.guards.iter().filter(|it| it.in_service());
        OverloadStatus {
            mode: self.mode,
            sampled: self.sampled.is_some(),
            demand: self.guards.iter().map(rate).sum::<f64>() + self.turned_away_rate,
            capacity: in_service().map(|it| it.clients.cap()?.capacity()).sum(),
            turned_away: self.turned_away_rate,
        }
    }

    pub(crate) fn server_status(&self, index: usize) -> ServerOverloadStatus {
        let guard = &self.guards[index];
        let cap = guard.clients.cap();
        ServerOverloadStatus {
            stand: guard.stand,
            cap: guard.allowed,
            learned: cap.and_then(Cap::limit),
            residence: (cap.and_then(|it| it.recent.residence()), cap.and_then(|it| it.at_rest.residence())),
            rate: rate(guard),
            sureness: cap.map_or(0.0, |it| it.at_rest.sureness()),
        }
    }
}

/// Completions per second.
fn rate(guard: &Guard) -> f64 {
    guard.clients.cap().map_or(0.0, |cap| cap.recent.rate())
}
