//! When each probe runs. Pure: time and events are values, what to start and stop is the answer.
//!
//! Every probe has a grid of times, one interval apart, whose phase spreads the probes of one configuration evenly
//! over the interval; each run is off its grid point by a small jitter that does not add up. A probe that has never run
//! need not wait for its grid point: it runs ahead of it as soon as there is nothing else to do, so that a small
//! configuration is known at once, and a large one as soon as the machine can.
//!
//! An ordered set tells who is next: at 200,000 half-open checks the whole schedule takes a tenth of their CPU time, and a
//! smaller part of any other's, so that a timer wheel would gain little. What costs more is to find a probe in memory, so
//! all that is known of one is in one place, and those that are new together lie in the order of their grid.
//!
//! Invariants: a probe never runs twice at a time; no more than `max_concurrent` run; after [`Schedule::handle`] the
//! [`Schedule::deadline`] lies in the future.

mod pace;
mod random;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use slab::Slab;

use self::pace::Pace;
use self::random::mix;

/// A run is off its grid point by less than this part of the interval.
const JITTER: u64 = 20;
/// A grid point within this part of the interval after a run that came late is passed over.
const TOO_SOON: u64 = 4;
/// The grid of new probes begins so much later, and so much for each of them, in which they are taken up, also by a slow
/// machine; but soon for short intervals.
const LEAD: Duration = Duration::from_millis(100);
const LEAD_EACH: Duration = Duration::from_micros(20);
/// A run that starts later than this counts as late.
const LATE: Duration = Duration::from_millis(100);

/// Intervals are taken as no shorter and no longer than these, so that no arithmetic can go wrong.
const MIN_INTERVAL: Duration = Duration::from_millis(1);
const MAX_INTERVAL: Duration = Duration::from_secs(365 * 24 * 3600);

/// Where a probe is, until it goes.
pub(crate) type Place = usize;

/// A probe that comes, with what its owner wants to know of it.
#[derive(Debug)]
pub(crate) struct New<T> {
    /// Never used before.
    pub(crate) id: u64,
    pub(crate) interval: Duration,
    pub(crate) value: T,
}

/// What happens to the schedule.
#[derive(Debug)]
pub(crate) enum Input<T> {
    /// Probes come, and go, by id. All others stay as they are.
    Update { new: Vec<New<T>>, gone: HashSet<u64> },
    /// The run of this probe is over.
    Finished(Place),
    /// Time has passed.
    Tick,
}

/// What is to be done, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Actions {
    /// Probes to forget, their runs to be cancelled: where they were, and their ids.
    pub(crate) stop: Vec<(Place, u64)>,
    /// Probes to run now, and when their time was; see [`Schedule::begins`].
    pub(crate) start: Vec<(Place, Instant)>,
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
    /// Of these, those that started more than 100 ms after their time, since too many others ran or we were too slow.
    /// The time of a first run is within one interval, at an even distance from those of the others.
    pub late: u64,
    /// The most by which a start was late.
    pub worst_lateness: Duration,
}

impl Stats {
    /// Those of two schedules together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            probes: self.probes + other.probes,
            running: self.running + other.running,
            started: self.started + other.started,
            late: self.late + other.late,
            worst_lateness: self.worst_lateness.max(other.worst_lateness),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Schedule<T> {
    max_concurrent: usize,
    seed: u64,
    probes: Slab<Entry<T>>,
    /// The probes that wait, by when.
    waiting: BTreeSet<(Instant, Place)>,
    /// The probes that have not run yet, by when; and some that have, or are gone.
    fresh: VecDeque<Place>,
    pace: Pace,
    stats: Stats,
}

#[derive(Debug)]
struct Entry<T> {
    id: u64,
    /// In nanoseconds.
    interval: u64,
    /// The grid point of the run that comes next or is under way.
    grid: Instant,
    /// When the next run is due; after one that is under way, not before it ends.
    next: Instant,
    /// Runs so far, up to the most that fits, and from 0 again.
    runs: u32,
    is_running: bool,
    value: T,
}

impl<T> Schedule<T> {
    /// One run at a time until there is another [limit](Self::limit); `seed` decides the order of the probes and the
    /// jitter.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            max_concurrent: 1,
            seed,
            probes: Slab::new(),
            waiting: BTreeSet::new(),
            fresh: VecDeque::new(),
            pace: Pace::default(),
            stats: Stats::default(),
        }
    }

    /// The ids of all probes.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.probes.iter().map(|(_, entry)| entry.id)
    }

    pub(crate) fn id(&self, place: Place) -> Option<u64> {
        self.probes.get(place).map(|entry| entry.id)
    }

    pub(crate) fn get(&self, place: Place) -> Option<&T> {
        self.probes.get(place).map(|entry| &entry.value)
    }

    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        self.probes.get_mut(place).map(|entry| &mut entry.value)
    }

    /// From now on at most so many at a time, at least one. What runs already goes on.
    pub(crate) fn limit(&mut self, max_concurrent: usize) {
        self.max_concurrent = max_concurrent.max(1);
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input<T>) -> Actions {
        let mut actions = Actions::default();
        match input {
            Input::Update { new, gone } => {
                let all = self.probes.iter().map(|(place, entry)| (place, entry.id));
                actions.stop = all.filter(|(_, id)| gone.contains(id)).collect();
                actions.stop.iter().for_each(|(place, _)| self.remove(*place));
                self.add(now, new);
            }
            Input::Finished(place) => self.finished(now, place),
            Input::Tick => {}
        }
        while self.has_slot()
            && let Some(&(due, place)) = self.waiting.first()
            && due <= now
        {
            self.start(now, due, place);
            actions.start.push((place, due));
        }
        self.run_ahead(now, &mut actions.start);
        actions
    }

    /// To be called when a run that was `due` really begins: it may have had to wait for others that were to begin with
    /// it.
    pub(crate) fn begins(&mut self, now: Instant, due: Instant) {
        let lateness = now.saturating_duration_since(due);
        self.stats.late += u64::from(lateness > LATE);
        self.stats.worst_lateness = self.stats.worst_lateness.max(lateness);
    }

    /// When to call next, unless something happens before: none while nothing waits or no slot is free.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = self.waiting.first().filter(|_| self.has_slot()).map(|(due, _)| *due);
        due.into_iter().chain(self.pace.deadline()).min()
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats { probes: self.probes.len(), ..self.stats }
    }

    fn has_slot(&self) -> bool {
        self.stats.running < self.max_concurrent
    }

    /// Starts first runs ahead of their time. They leave half of the slots to the runs whose time has come.
    fn run_ahead(&mut self, now: Instant, start: &mut Vec<(Place, Instant)>) {
        let allowed = if self.next_ahead().is_some() { self.pace.take(now) } else { 0 };
        for _ in 0..allowed {
            let Some((due, place)) = self.next_ahead() else { break };
            self.start(now, due, place);
            start.push((place, due));
        }
        self.pace.awaited = self.next_ahead().is_some();
    }

    fn next_ahead(&mut self) -> Option<(Instant, Place)> {
        while let Some(place) = self.fresh.front() {
            match self.probes.get(*place) {
                Some(Entry { runs: 0, is_running: false, next, .. }) => {
                    let room = self.stats.running < self.max_concurrent.div_ceil(2);
                    return room.then_some((*next, *place));
                }
                _ => self.fresh.pop_front(),
            };
        }
        self.fresh = VecDeque::new();
        None
    }

    fn add(&mut self, now: Instant, mut new: Vec<New<T>>) {
        // Neighbours in the configuration often are neighbours on one machine: they are kept apart.
        let seed = self.seed;
        new.sort_by_key(|it| mix(seed ^ it.id));
        let count = new.len() as u32;
        self.probes.reserve(new.len());
        for (number, New { id, interval, value }) in (0u32..).zip(new) {
            let interval = interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
            let lead = (LEAD + LEAD_EACH * count).min(interval / 8);
            let grid = now + lead + (interval - lead) / count * number;
            let interval = nanos(interval);
            let entry = Entry { id, interval, grid, next: grid, runs: 0, is_running: false, value };
            let place = self.probes.insert(entry);
            self.waiting.insert((grid, place));
            self.fresh.push_back(place);
        }
    }

    fn remove(&mut self, place: Place) {
        let entry = self.probes.remove(place);
        if entry.is_running {
            self.stats.running -= 1;
        } else {
            self.waiting.remove(&(entry.next, place));
        }
    }

    fn start(&mut self, now: Instant, due: Instant, place: Place) {
        let Some(entry) = self.probes.get_mut(place) else { return };
        self.waiting.remove(&(due, place));
        self.stats.running += 1;
        self.stats.started += 1;
        entry.start(now, self.seed);
    }

    fn finished(&mut self, now: Instant, place: Place) {
        let Some(entry) = self.probes.get_mut(place).filter(|entry| entry.is_running) else { return };
        // A run that outlasts its interval is followed at once by the next: that one is not late but due now.
        entry.next = entry.next.max(now);
        entry.is_running = false;
        self.waiting.insert((entry.next, place));
        self.stats.running -= 1;
    }
}

impl<T> Entry<T> {
    /// Grid points that have been missed are passed over.
    fn start(&mut self, now: Instant, seed: u64) {
        self.is_running = true;
        self.runs = self.runs.wrapping_add(1);
        let soon = now + Duration::from_nanos(self.interval / TOO_SOON);
        let passed = nanos(soon.saturating_duration_since(self.grid));
        self.grid += Duration::from_nanos(passed.div_ceil(self.interval) * self.interval);
        let random = mix(seed ^ mix(self.id ^ mix(self.runs.into())));
        self.next = self.grid + Duration::from_nanos(random % (self.interval / JITTER));
    }
}

/// 584 years are enough.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
