//! When each probe runs. Pure: time and events are values, what to start and stop is the answer.
//!
//! Every probe has a grid of times, one interval apart, whose phase spreads the probes of one configuration evenly
//! over the interval; each run is off its grid point by a small jitter that does not add up. A probe that has never run
//! need not wait for its grid point: it runs ahead of it as soon as there is nothing else to do, so that a small
//! configuration is known at once, and a large one as soon as the machine can.
//!
//! An ordered set tells who is next: at 200,000 half-open checks the whole schedule takes a tenth of their CPU time, and a
//! smaller part of any other's, so that a timer wheel would gain little.
//!
//! Invariants: a probe never runs twice at a time; no more than `max_concurrent` run; after [`Schedule::handle`] the
//! [`Schedule::deadline`] lies in the future.

mod pace;
mod random;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use self::pace::Pace;
use self::random::mix;

/// A run is off its grid point by less than this part of the interval.
const JITTER: u32 = 20;
/// A grid point within this part of the interval after a run that came late is passed over.
const TOO_SOON: u32 = 4;
/// The grid of new probes begins so much later, and so much for each of them, in which they are taken up, also by a slow
/// machine; but soon for short intervals.
const LEAD: Duration = Duration::from_millis(100);
const LEAD_EACH: Duration = Duration::from_micros(20);
/// A run that starts later than this counts as late.
const LATE: Duration = Duration::from_millis(100);

/// Intervals are taken as no shorter and no longer than these, so that no arithmetic can go wrong.
const MIN_INTERVAL: Duration = Duration::from_millis(1);
const MAX_INTERVAL: Duration = Duration::from_secs(365 * 24 * 3600);

/// What happens to the schedule.
#[derive(Debug)]
pub(crate) enum Input {
    /// Probes come, by id with their intervals, and go. All others stay as they are.
    Update { new: Vec<(u64, Duration)>, gone: Vec<u64> },
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
    /// Probes to run now, and when their time was; see [`Schedule::begins`].
    pub(crate) start: Vec<(u64, Instant)>,
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
pub(crate) struct Schedule {
    max_concurrent: usize,
    seed: u64,
    probes: HashMap<u64, Entry>,
    /// The probes that wait, by when.
    waiting: BTreeSet<(Instant, u64)>,
    /// The probes that have not run yet, by when; and some that have, or are gone.
    fresh: VecDeque<u64>,
    pace: Pace,
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
    /// One run at a time until there is another [limit](Self::limit); `seed` decides the order of the probes and the
    /// jitter.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            max_concurrent: 1,
            seed,
            probes: HashMap::new(),
            waiting: BTreeSet::new(),
            fresh: VecDeque::new(),
            pace: Pace::default(),
            stats: Stats::default(),
        }
    }

    /// From now on at most so many at a time, at least one. What runs already goes on.
    pub(crate) fn limit(&mut self, max_concurrent: usize) {
        self.max_concurrent = max_concurrent.max(1);
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input) -> Actions {
        let mut actions = Actions::default();
        match input {
            Input::Update { new, gone } => {
                gone.iter().for_each(|id| self.remove(*id));
                self.add(now, new);
                actions.stop = gone;
            }
            Input::Finished(id) => self.finished(now, id),
            Input::Tick => {}
        }
        while self.has_slot()
            && let Some(&(due, id)) = self.waiting.first()
            && due <= now
        {
            self.start(now, due, id);
            actions.start.push((id, due));
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
    fn run_ahead(&mut self, now: Instant, start: &mut Vec<(u64, Instant)>) {
        let allowed = if self.next_ahead().is_some() { self.pace.take(now) } else { 0 };
        for _ in 0..allowed {
            let Some((due, id)) = self.next_ahead() else { break };
            self.start(now, due, id);
            start.push((id, due));
        }
        self.pace.awaited = self.next_ahead().is_some();
    }

    fn next_ahead(&mut self) -> Option<(Instant, u64)> {
        while let Some(id) = self.fresh.front() {
            match self.probes.get(id) {
                Some(Entry { runs: 0, state: State::Waiting { due }, .. }) => {
                    let room = self.stats.running < self.max_concurrent.div_ceil(2);
                    return room.then_some((*due, *id));
                }
                _ => self.fresh.pop_front(),
            };
        }
        self.fresh = VecDeque::new();
        None
    }

    fn add(&mut self, now: Instant, mut new: Vec<(u64, Duration)>) {
        new.retain(|(id, _)| !self.probes.contains_key(id));
        // Neighbours in the configuration often are neighbours on one machine: they are kept apart.
        let seed = self.seed;
        new.sort_by_key(|&(id, _)| mix(seed ^ id));
        let count = new.len() as u32;
        for (place, (id, interval)) in (0u32..).zip(new) {
            let interval = interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
            let lead = (LEAD + LEAD_EACH * count).min(interval / 8);
            let due = now + lead + (interval - lead) / count * place;
            self.probes.insert(id, Entry { interval, grid: due, runs: 0, state: State::Waiting { due } });
            self.waiting.insert((due, id));
            self.fresh.push_back(id);
        }
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
        self.waiting.remove(&(due, id));
        self.stats.running += 1;
        self.stats.started += 1;
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
