//! What a run is worth.

/// One second of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Second {
    /// New requests.
    pub new: u64,
    /// Requests, with those that came again.
    pub offered: u64,
    /// Requests whose service began then, and was not ended by the director.
    pub good: u64,
    /// Turned away by the director.
    pub shed: u64,
    /// What the living servers could serve, per second.
    pub capacity: f64,
    /// Servers that get new connections.
    pub in_service: usize,
}

/// A run's result.
#[derive(Debug, Clone, Default)]
pub struct Score {
    /// Second by second.
    pub seconds: Vec<Second>,
    /// Times a server that was alive and in reach was taken out of service.
    pub wrong_ejections: u64,
    /// Connections given to servers that were dead.
    pub to_dead: u64,
    /// Those of them that were given after the dead server's checks must have told.
    pub to_known_dead: u64,
    /// Connections that lived and were ended by the director.
    pub flows_killed: u64,
    /// When the last thing has happened to servers or load.
    pub last_change: f64,
}

/// Seconds over which a load is compared with a capacity.
const WINDOW: usize = 5;
/// Below this ratio of what is offered to the capacity nothing need be shed.
const NO_NEED: f64 = 0.9;
/// Recovered: so much of the ideal is served.
const RECOVERED: f64 = 0.95;

impl Score {
    /// ∫G / ∫G*, where G* is the smaller of the new requests and what the living servers can serve. Requests that come
    /// again count when they are served, so a pool that makes up for a peak later can be above 1.
    pub fn goodput(&self) -> f64 {
        let good: u64 = self.seconds.iter().map(|it| it.good).sum();
        good as f64 / self.seconds.chunks(WINDOW).map(ideal).sum::<f64>().max(1.0)
    }

    /// Requests turned away while what was offered was less than nine tenths of the capacity.
    pub fn shed_without_need(&self) -> u64 {
        let without_need = |window: &&[Second]| {
            let offered: u64 = window.iter().map(|it| it.offered).sum();
            (offered as f64) < NO_NEED * window.iter().map(|it| it.capacity).sum::<f64>()
        };
        self.seconds.chunks(WINDOW).filter(without_need).flatten().map(|it| it.shed).sum()
    }

    /// From the last change to the time from which on the pool serves what it should; none if it never does.
    pub fn recovery(&self) -> Option<f64> {
        let short = |window: &[Second]| {
            let good: u64 = window.iter().map(|it| it.good).sum();
            (good as f64) < RECOVERED * ideal(window)
        };
        let windows: Vec<_> = self.seconds.chunks_exact(WINDOW).map(short).collect();
        let last = windows.iter().rposition(|short| *short);
        if last.is_some_and(|last| last + 1 == windows.len()) {
            return None;
        }
        Some(last.map_or(0.0, |last| ((last + 1) * WINDOW) as f64 - self.last_change).max(0.0))
    }
}

/// What should be served in these seconds.
pub(super) fn ideal(window: &[Second]) -> f64 {
    let new: u64 = window.iter().map(|it| it.new).sum();
    window.iter().map(|it| it.capacity).sum::<f64>().min(new as f64)
}
