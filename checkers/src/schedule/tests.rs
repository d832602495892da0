//! On a virtual clock.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The schedule, a clock that jumps from event to event, and checks that take a given time.
struct Sim {
    schedule: Schedule<()>,
    begin: Instant,
    now: Instant,
    takes: Duration,
    /// What a start costs us, in which nothing else is done.
    costs: Duration,
    ends: BTreeSet<(Instant, Place)>,
    starts: BTreeMap<u64, Vec<Duration>>,
}

impl Sim {
    #[allow(clippy::disallowed_methods)]
    fn new(max_concurrent: usize, seed: u64, takes: Duration) -> Self {
        let begin = Instant::now();
        let mut schedule = Schedule::new(seed);
        schedule.limit(max_concurrent);
        let (ends, starts) = (BTreeSet::new(), BTreeMap::new());
        Self { schedule, begin, now: begin, takes, costs: Duration::ZERO, ends, starts }
    }

    fn handle(&mut self, input: Input<()>) {
        let now = self.now;
        let Actions { stop, start } = self.schedule.handle(now, input);
        self.ends.retain(|(_, place)| stop.iter().all(|(stopped, _)| stopped != place));
        for (place, due) in start {
            let id = self.schedule.id(place).unwrap();
            assert!(self.ends.iter().all(|&(_, running)| running != place), "{id} runs twice");
            self.ends.insert((self.now + self.takes, place));
            self.starts.entry(id).or_default().push(self.now - self.begin);
            self.schedule.begins(self.now, due);
            self.now += self.costs;
        }
        assert_eq!(self.schedule.stats().running, self.ends.len());
        assert!(self.ends.len() <= self.schedule.max_concurrent);
        assert!(self.schedule.deadline().is_none_or(|deadline| deadline > now), "a deadline in the past");
    }

    #[allow(clippy::disallowed_methods)]
    fn update(&mut self, probes: impl IntoIterator<Item = u64>, interval: Duration) {
        let probes: BTreeSet<u64> = probes.into_iter().collect();
        let known: BTreeSet<u64> = self.schedule.ids().collect();
        let new = probes.difference(&known).map(|id| New { id: *id, interval, value: () }).collect();
        self.handle(Input::Update { new, gone: known.difference(&probes).copied().collect() });
    }

    fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            let end = self.ends.first().copied();
            let next = [end.map(|(at, _)| at), self.schedule.deadline()].into_iter().flatten().min();
            match next.filter(|&next| next <= until) {
                None => break,
                Some(next) => self.now = self.now.max(next),
            }
            match end.filter(|&(at, _)| at <= self.now) {
                Some(end) => {
                    self.ends.remove(&end);
                    self.handle(Input::Finished(end.1));
                }
                None => self.handle(Input::Tick),
            }
        }
        self.now = until;
    }

    /// The times between the starts of one probe, without the first.
    fn gaps(&self, id: u64) -> Vec<Duration> {
        self.starts[&id].windows(2).skip(1).map(|pair| pair[1] - pair[0]).collect()
    }
}

#[test]
fn a_few_probes_run_at_once() {
    let mut sim = Sim::new(1000, 1, ms(10));
    sim.update(0..5, 2 * SECOND);
    sim.run_for(ms(5));
    assert_eq!(sim.schedule.stats().started, 5);
}

#[test]
fn many_probes_are_spread() {
    let mut sim = Sim::new(100_000, 1, ms(1));
    sim.update(0..100_000, 2 * SECOND);
    for second in 1..=4 {
        for tenth in 1..=10 {
            sim.run_for(ms(100));
            let started = sim.schedule.stats().started as f64;
            let ideal = 50_000.0 * (f64::from(second - 1) + f64::from(tenth) / 10.0);
            // The grid begins a quarter of a second later, and the jitter is a tenth of one.
            assert!((started - ideal).abs() < 17_500.0, "{started} at {second}.{tenth} s");
        }
    }
}

/// The machine has time for 770 checks a second, less than the pace at which first runs begin.
#[test]
fn first_runs_are_as_many_as_we_can_do_in_time() {
    let mut sim = Sim::new(10_000, 1, ms(1));
    sim.costs = Duration::from_micros(1_300);
    sim.update(0..37_205, 120 * SECOND);
    sim.run_for(90 * SECOND);
    assert_eq!(sim.starts.len(), 37_205, "the grid alone takes 120 s");
    sim.update(100..37_305, 120 * SECOND);
    sim.run_for(150 * SECOND);
    let stats = sim.schedule.stats();
    assert_eq!(stats.late, 0, "{stats:?}");
    assert!(sim.starts[&37_304][0] < 91 * SECOND, "few new ones are checked at once");
}

/// For 20 µs each.
#[test]
fn no_run_is_late_since_a_great_many_were_taken_up() {
    let mut sim = Sim::new(10_000, 1, ms(1));
    sim.update(0..37_205, 120 * SECOND);
    sim.now += ms(744);
    sim.run_for(3 * SECOND);
    let stats = sim.schedule.stats();
    assert!(stats.late == 0 && stats.started > 1_000, "{stats:?}");
}

/// Servers that do not answer hold slots, and none that others need.
#[test]
fn first_runs_leave_room_for_others() {
    let mut sim = Sim::new(20, 1, 5 * SECOND);
    sim.update(0..8, 10 * SECOND);
    sim.run_for(100 * SECOND);
    sim.update(0..16, 10 * SECOND);
    sim.run_for(100 * SECOND);
    let stats = sim.schedule.stats();
    assert_eq!(stats.late, 0, "{stats:?}");
}

/// A few probes start together and are apart from their second run on.
#[test]
fn the_first_rush_is_not_repeated() {
    let mut sim = Sim::new(1000, 1, ms(1));
    sim.update(0..10, 10 * SECOND);
    sim.run_for(60 * SECOND);
    let mut last: Vec<Duration> = sim.starts.values().map(|starts| *starts.last().unwrap()).collect();
    last.sort();
    assert!(last.windows(2).all(|pair| pair[1] - pair[0] > ms(400)), "{last:?}");
}

#[test]
fn a_stall_is_not_made_up_for() {
    let mut sim = Sim::new(1000, 1, ms(1));
    sim.update([7], SECOND);
    sim.run_for(ms(10_500));
    let before = sim.schedule.stats().started;
    sim.now += 100 * SECOND;
    sim.run_for(2 * SECOND);
    assert!((2..=4).contains(&(sim.schedule.stats().started - before)), "{:?}", sim.starts);
    assert_eq!(sim.schedule.stats().late, 1);
    assert!(sim.schedule.stats().worst_lateness > 99 * SECOND);
}

#[test]
fn slots_are_counted_and_missed_ones_too() {
    let mut sim = Sim::new(2, 1, ms(500));
    sim.update(0..8, SECOND);
    sim.run_for(20 * SECOND);
    let stats = sim.schedule.stats();
    // Two slots, two runs a second each.
    assert!((76..=82).contains(&stats.started), "{stats:?}");
    assert!(stats.late > 60 && stats.worst_lateness > ms(500), "{stats:?}");
    for starts in sim.starts.values() {
        assert!((9..=11).contains(&starts.len()), "nobody starves: {:?}", sim.starts);
    }
}

/// Each start costs 10 ms: of those that are due together after a stall of 90 ms, the last has to wait for too long.
#[test]
fn a_run_that_waits_for_others_to_begin_is_late() {
    let mut sim = Sim::new(1000, 1, ms(1));
    sim.update(0..200, SECOND);
    sim.run_for(5 * SECOND);
    sim.now += ms(90);
    sim.costs = ms(10);
    sim.handle(Input::Tick);
    let stats = sim.schedule.stats();
    assert!(stats.late > 0 && stats.worst_lateness < ms(300), "{stats:?}");
}

#[test]
fn a_slow_check_runs_back_to_back_and_is_not_late() {
    let mut sim = Sim::new(10, 1, ms(1_001));
    sim.update([1], SECOND);
    sim.run_for(ms(20_500));
    let stats = sim.schedule.stats();
    assert!((19..=21).contains(&stats.started) && stats.late == 0, "{stats:?}");
}

#[test]
fn what_is_gone_is_stopped_and_what_stays_keeps_its_time() {
    let mut sim = Sim::new(10, 1, ms(100));
    sim.update([1, 2], SECOND);
    sim.run_for(ms(50));
    let mut undisturbed = Sim::new(10, 1, ms(100));
    undisturbed.update([1, 2], SECOND);
    sim.update([2, 3], SECOND);
    assert_eq!((sim.schedule.stats().probes, sim.schedule.stats().running), (2, 2));
    sim.run_for(ms(9_950));
    undisturbed.run_for(10 * SECOND);
    assert_eq!(sim.starts[&1].len(), 1);
    assert_eq!(sim.starts[&2], undisturbed.starts[&2]);
}

#[test]
fn absurd_settings() {
    let mut sim = Sim::new(0, 1, ms(1));
    assert_eq!(sim.schedule.deadline(), None);
    sim.update([1], Duration::ZERO);
    sim.run_for(ms(10));
    assert!((5..=10).contains(&sim.schedule.stats().started), "{:?}", sim.schedule.stats());
    sim.update([2], Duration::MAX);
    sim.run_for(SECOND);
    assert_eq!(sim.starts[&2].len(), 1);
    sim.update([], SECOND);
    assert_eq!(sim.schedule.deadline(), None);
}

proptest! {
    /// The gap between two runs is the interval, give or take the jitter, and the jitter does not add up.
    #[test]
    fn no_drift(seed: u64, ids in prop::collection::btree_set(any::<u64>(), 1..50), interval in 10u64..10_000) {
        let interval = ms(interval);
        let mut sim = Sim::new(1000, seed, ms(1));
        sim.update(ids.iter().copied(), interval);
        sim.run_for(interval * 40);
        let jitter = interval / JITTER as u32;
        for &id in &ids {
            let gaps = sim.gaps(id);
            prop_assert!(gaps.len() >= 37, "{gaps:?}");
            for gap in &gaps {
                prop_assert!(*gap > interval - jitter && *gap < interval + jitter, "{gap:?}");
            }
            let drift = gaps.iter().sum::<Duration>().abs_diff(interval * gaps.len() as u32);
            prop_assert!(drift < jitter, "{drift:?}");
            // The first run comes at once and the second within one and a quarter of the interval.
            prop_assert!(sim.starts[&id][0] <= ms(50));
            prop_assert!(sim.starts[&id][1] - sim.starts[&id][0] <= interval + interval / TOO_SOON as u32 + jitter);
        }
    }

    /// Equal seeds give equal times; moving the clock moves them all.
    #[test]
    fn deterministic(seed: u64, count in 1u64..30, takes in 0u64..3000, slots in 1usize..10) {
        let run = |offset| {
            let mut sim = Sim::new(slots, seed, ms(takes));
            sim.now += offset;
            sim.begin = sim.now;
            sim.update(0..count, SECOND);
            sim.run_for(10 * SECOND);
            sim.starts
        };
        prop_assert_eq!(run(Duration::ZERO), run(ms(123_457)));
    }

    /// The simulation's own assertions hold whatever happens: never twice, never too many, the deadline ahead.
    #[test]
    fn holds_its_promises(
        slots in 0usize..6,
        takes in 0u64..2500,
        steps in prop::collection::vec((prop::collection::btree_set(0u64..12, 0..12), 1u64..3000, 0u64..3000, 0u64..3000), 1..20),
    ) {
        let mut sim = Sim::new(slots, 3, ms(takes));
        for (probes, interval, run, stall) in steps {
            sim.update(probes, ms(interval));
            sim.run_for(ms(run));
            sim.now += ms(stall);
        }
    }
}
