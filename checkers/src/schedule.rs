//! When each probe runs. Pure: time and events are values, what to start and stop is the answer.
//!
//! Every probe has a grid of times, one interval apart, whose phase spreads the probes of one configuration evenly
//! over the interval; each run is off its grid point by a small jitter that does not add up. Only the first run is
//! off the grid: it comes at once, at a rate of at most one a millisecond.
//!
//! Invariants: a probe never runs twice at a time; no more than `max_concurrent` run; after [`Schedule::handle`] the
//! [`Schedule::deadline`] lies in the future.

mod random;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use self::random::mix;

/// From one first run to the next, at least.
const FIRST_RUN_EVERY: Duration = Duration::from_millis(1);
/// A run is off its grid point by less than this part of the interval.
const JITTER: u32 = 20;
/// A grid point within this part of the interval after a run that came late is passed over.
const TOO_SOON: u32 = 4;
/// A run that starts later than this counts as late.
const LATE: Duration = Duration::from_millis(100);

/// Intervals are taken as no shorter and no longer than these, so that no arithmetic can go wrong.
const MIN_INTERVAL: Duration = Duration::from_millis(1);
const MAX_INTERVAL: Duration = Duration::from_secs(365 * 24 * 3600);

/// What happens to the schedule.
#[derive(Debug)]
pub(crate) enum Input {
    /// These probes, by id with their intervals, and no others, are to run. What is known stays as it is.
    Update(Vec<(u64, Duration)>),
    /// The run of this probe is over.
    Finished(u64),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Actions {
    /// Probes to forget, their runs to be cancelled.
    pub(crate) stop: Vec<u64>,
    /// Probes to run now.
    pub(crate) start: Vec<u64>,
}

/// How the schedule is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Probes that are known.
    pub probes: usize,
    /// Checks that run at this moment.
    pub running: usize,
    /// Checks that were started so far.
    pub started: u64,
    /// Of these, those that started more than 100 ms late, since too many others ran or we were too slow.
    pub late: u64,
    /// The most by which a start was late.
    pub worst_lateness: Duration,
}

#[derive(Debug)]
pub(crate) struct Schedule {
    max_concurrent: usize,
    seed: u64,
    probes: BTreeMap<u64, Entry>,
    /// The probes that wait, by when.
    waiting: BTreeSet<(Instant, u64)>,
    stats: Stats,
}

#[derive(Debug)]
struct Entry {
    interval: Duration,
    /// The grid point of the run that comes next or is under way.
    grid: Instant,
    /// Runs so far.
    runs: u64,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Waiting { due: Instant },
    Running { next: Instant },
}

impl Schedule {
    /// At most `max_concurrent` runs at a time, at least one; `seed` decides the order of the probes and the jitter.
    pub(crate) fn new(max_concurrent: usize, seed: u64) -> Self {
        Self {
            max_concurrent: max_concurrent.max(1),
            seed,
            probes: BTreeMap::new(),
            waiting: BTreeSet::new(),
            stats: Stats::default(),
        }
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input) -> Actions {
        let mut actions = Actions::default();
        match input {
            Input::Update(probes) => actions.stop = self.update(now, probes),
            Input::Finished(id) => self.finished(now, id),
            Input::Tick => {}
        }
        while self.has_slot()
            && let Some(&(due, id)) = self.waiting.first()
            && due <= now
        {
            self.waiting.pop_first();
            self.start(now, due, id);
            actions.start.push(id);
        }
        actions
    }

    /// When to call next, unless something happens before: none while nothing waits or no slot is free.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let &(due, _) = self.waiting.first()?;
        self.has_slot().then_some(due)
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats { probes: self.probes.len(), ..self.stats }
    }

    fn has_slot(&self) -> bool {
        self.stats.running < self.max_concurrent
    }

    fn update(&mut self, now: Instant, probes: Vec<(u64, Duration)>) -> Vec<u64> {
        let wanted: BTreeMap<u64, Duration> = probes.into_iter().collect();
        let gone: Vec<u64> = self.probes.keys().filter(|id| !wanted.contains_key(id)).copied().collect();
        for &id in &gone {
            self.remove(id);
        }
        let seed = self.seed;
        let mut new: Vec<_> = wanted.into_iter().filter(|(id, _)| !self.probes.contains_key(id)).collect();
        // Neighbours in the configuration often are neighbours on one machine: they are kept apart.
        new.sort_by_key(|&(id, _)| mix(seed ^ id));
        let count = new.len() as u32;
        for (place, (id, interval)) in (0u32..).zip(new) {
            let interval = interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
            let phase = interval / count * place;
            let due = now + phase.min(FIRST_RUN_EVERY * place);
            self.probes
                .insert(id, Entry { interval, grid: now + phase, runs: 0, state: State::Waiting { due } });
            self.waiting.insert((due, id));
        }
        gone
    }

    fn remove(&mut self, id: u64) {
        match self.probes.remove(&id).map(|entry| entry.state) {
            Some(State::Waiting { due }) => {
                self.waiting.remove(&(due, id));
            }
            Some(State::Running { .. }) => self.stats.running -= 1,
            None => {}
        }
    }

    fn start(&mut self, now: Instant, due: Instant, id: u64) {
        let seed = self.seed;
        let Some(entry) = self.probes.get_mut(&id) else {
            return;
        };
        let lateness = now - due;
        self.stats.running += 1;
        self.stats.started += 1;
        self.stats.late += u64::from(lateness > LATE);
        self.stats.worst_lateness = self.stats.worst_lateness.max(lateness);
        entry.runs += 1;
        entry.state = State::Running { next: entry.next(now, mix(seed ^ mix(id ^ mix(entry.runs)))) };
    }

    fn finished(&mut self, now: Instant, id: u64) {
        let Some(entry) = self.probes.get_mut(&id) else {
            return;
        };
        if let State::Running { next } = entry.state {
            // A run that outlasts its interval is followed at once by the next: that one is not late but due now.
            let due = next.max(now);
            entry.state = State::Waiting { due };
            self.waiting.insert((due, id));
            self.stats.running -= 1;
        }
    }
}

impl Entry {
    /// When to run again after a run that starts at `now`. Grid points that have been missed are passed over.
    fn next(&mut self, now: Instant, random: u64) -> Instant {
        let interval = nanos(self.interval);
        let passed = nanos((now + self.interval / TOO_SOON).saturating_duration_since(self.grid));
        self.grid += Duration::from_nanos(passed.div_ceil(interval) * interval);
        self.grid + Duration::from_nanos(random % (interval / u64::from(JITTER)))
    }
}

/// 584 years are enough.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
