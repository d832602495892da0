//! Caps against a kernel that carries traffic, on a virtual clock: its thresholds, its entries that linger, its
//! counters that are summed up every two seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tidegate_engine::Mode;
use tidegate_ipvs::table::{self, Counts, Stats};

use super::super::meter::Meter;
use super::*;
use crate::clock;

const STEP: Duration = Duration::from_millis(1);
const TICK: Duration = Duration::from_millis(50);
const LINGER: Duration = Duration::from_secs(120);

/// One destination and the server behind it.
struct Kernel {
    now: Instant,
    entry: DestinationEntry,
    overloaded: bool,
    workers: usize,
    service: Duration,
    /// When those in work are done; the others wait.
    work: VecDeque<Instant>,
    inactive: VecDeque<Instant>,
    connections: u64,
    bytes: u64,
    /// When the counters were summed up last.
    summed: Instant,
    random: fastrand::Rng,
}

impl Kernel {
    fn new(workers: usize, service: Duration) -> Self {
        let destination = table::Destination {
            forwarding: table::Forwarding::Nat,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
        };
        let stats = Stats::default();
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        Self {
            now: clock::now(),
            entry: DestinationEntry { destination, active: 0, inactive: 0, persistent: 0, stats },
            overloaded: false,
            workers,
            service,
            work: VecDeque::new(),
            inactive: VecDeque::new(),
            connections: 0,
            bytes: 0,
            summed: clock::now(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    fn entries(&self) -> u32 {
        self.entry.active + self.entry.inactive
    }

    /// `ip_vs_unbind_dest`
    fn reopen(&mut self) {
        let destination = &self.entry.destination;
        let entries = self.entries();
        let opens = match (destination.lower_threshold, destination.upper_threshold) {
            (0, 0) => true,
            (0, upper) => entries * 4 < upper * 3,
            (lower, _) => entries < lower,
        };
        self.overloaded &= !opens;
    }

    /// `__ip_vs_update_dest`
    fn set(&mut self, destination: table::Destination) {
        let before = self.entry.destination.upper_threshold;
        if destination.upper_threshold == 0 || destination.upper_threshold > before {
            self.overloaded = false;
        }
        self.entry.destination = destination;
    }

    /// A client; `ip_vs_bind_dest`
    fn connect(&mut self) {
        if self.overloaded {
            return;
        }
        self.entry.active += 1;
        self.connections += 1;
        let upper = self.entry.destination.upper_threshold;
        self.overloaded = upper != 0 && self.entries() >= upper;
        if self.work.len() < self.workers {
            self.work.push_back(self.now + self.service);
        }
    }

    /// A step of time with so many clients a second.
    fn step(&mut self, rate: f64) {
        self.now += STEP;
        while self.work.front().is_some_and(|done| *done <= self.now) {
            self.work.pop_front();
            self.entry.active -= 1;
            self.entry.inactive += 1;
            self.bytes += 500;
            self.inactive.push_back(self.now + LINGER);
            if self.entry.active as usize > self.work.len() {
                self.work.push_back(self.now + self.service);
            }
        }
        while self.inactive.front().is_some_and(|expires| *expires <= self.now) {
            self.inactive.pop_front();
            self.entry.inactive -= 1;
            self.reopen();
        }
        if self.random.f64() < rate * STEP.as_secs_f64() {
            self.connect();
        }
        if self.now >= self.summed + Duration::from_secs(2) {
            self.summed = self.now;
            self.sum_up();
        }
    }

    fn sum_up(&mut self) {
        let (connections, bytes_out, packets_out) = (self.connections, self.bytes, self.bytes / 100);
        self.entry.stats.total = Counts { connections, bytes_out, packets_out, ..Counts::default() };
    }

    fn destinations(&self) -> Destinations {
        BTreeMap::from([(address(1), self.entry)])
    }
}

fn protected(cap: u32) -> Arc<Service> {
    let destination = Destination { max_connections: cap, ..Destination::new(1) };
    let mut service = service(BTreeMap::from([(address(1), destination)]));
    Arc::make_mut(&mut service).attributes.overload = Mode::Protect;
    service
}

/// What was seen of some time with a cap.
#[derive(Debug)]
struct Seen {
    served: f64,
    most: u32,
    requests: usize,
}

/// Runs for so many seconds; thresholds are set anew each tick.
fn run(kernel: &mut Kernel, regulator: &mut Regulator, cap: u32, rate: f64, seconds: u32) -> Seen {
    let ours = Table::from([(key(), protected(cap))]);
    let (begin, served) = (kernel.now, kernel.connections - u64::from(kernel.entry.active));
    let mut seen = Seen { served: 0.0, most: 0, requests: 0 };
    let mut ticked = kernel.now;
    while kernel.now < begin + Duration::from_secs(seconds.into()) {
        kernel.step(rate);
        seen.most = seen.most.max(kernel.entry.active);
        if kernel.now >= ticked + TICK {
            ticked = kernel.now;
            let services = BTreeMap::from([(key(), kernel.destinations())]);
            regulator.read(kernel.now, &key(), &services[&key()]);
            for request in regulator.requests(&ours, &services, TICK) {
                let Request::SetDestination(_, _, destination) = request else { panic!("{request:?}") };
                kernel.set(destination);
                seen.requests += 1;
            }
        }
    }
    let done = kernel.connections - u64::from(kernel.entry.active) - served;
    seen.served = done as f64 / f64::from(seconds);
    seen
}

#[test]
fn a_cap_is_held_and_used_whatever_lingers() {
    // And what may begin in the tick in which so much expires or ends: workers that began together end together.
    for (workers, milliseconds, cap, slack) in
        [(4, 400, 6, 5), (4, 400, 8, 5), (4, 20, 8, 20), (40, 4_000, 44, 9)]
    {
        let service = Duration::from_millis(milliseconds);
        let mut kernel = Kernel::new(workers, service);
        let mut regulator = Regulator::default();
        let capacity = workers as f64 / service.as_secs_f64();
        // Entries only linger, then as many expire as come, then few come and many expire.
        for (rate, seconds) in [(1.4, 110), (1.4, 100), (0.5, 100)] {
            let seen = run(&mut kernel, &mut regulator, cap, rate * capacity, seconds);
            println!("{service:?} {cap}: {seen:?} of {capacity}/s");
            assert!(seen.most <= cap + slack, "{seen:?}");
            assert!(seen.served > 0.8 * capacity * rate.min(1.1), "{seen:?} of {capacity}");
        }
    }
}

#[test]
fn a_cap_below_what_is_there_lets_nobody_in_until_there_is_room() {
    let mut kernel = Kernel::new(4, Duration::from_millis(400));
    let mut regulator = Regulator::default();
    let seen = run(&mut kernel, &mut regulator, 0, 30.0, 10);
    assert_eq!(seen.requests, 0, "without a cap nothing is asked for");
    let before = (kernel.connections, kernel.entry.active);
    assert!(before.1 > 100);
    // 100 of those that wait are served meanwhile.
    run(&mut kernel, &mut regulator, 6, 30.0, 10);
    assert!(kernel.connections <= before.0 + 5, "{} after {before:?}", kernel.connections);

    // And a cap that is no more leaves no threshold.
    run(&mut kernel, &mut regulator, 0, 0.0, 1);
    assert_eq!(kernel.entry.destination.upper_threshold, 0);
    assert!(!regulator.has_work(&Table::from([(key(), protected(0))])));
}

#[test]
fn services_of_one_virtual_server_share_a_cap() {
    let other = Listen::Address { protocol: Protocol::Tcp, address: address(101) };
    let ours = Table::from([(key(), protected(6)), (other, protected(6))]);
    let mut kernel = Kernel::new(4, Duration::from_millis(400));
    let uppers = |active: u32, kernel: &mut Kernel| {
        (kernel.entry.active, kernel.entry.inactive) = (active, 100);
        let services = [key(), other].map(|key| (key, kernel.destinations())).into();
        let requests = Regulator::default().requests(&ours, &services, TICK);
        let upper = |request: &Request| match request {
            Request::SetDestination(_, _, destination) => destination.upper_threshold,
            _ => panic!("{request:?}"),
        };
        requests.iter().map(upper).collect::<Vec<_>>()
    };
    assert_eq!(uppers(1, &mut kernel), [103, 103], "room for four more");
    assert_eq!(uppers(3, &mut kernel), [103, 103], "none");
}

#[test]
fn connections_begun_are_known_between_the_kernels_sums() {
    let mut kernel = Kernel::new(4, Duration::from_millis(400));
    let ours = Table::from([(key(), protected(0))]);
    let mut regulator = Regulator::default();
    let mut sample = |kernel: &mut Kernel, rate: f64| {
        (0..500).for_each(|_| kernel.step(rate));
        regulator.read(kernel.now, &key(), &kernel.destinations());
        regulator.retain(&ours);
        regulator.meter(&key(), &address(1)).unwrap().begun()
    };
    let mut before = (sample(&mut kernel, 0.0), kernel.entry.active);
    // At first nothing expires, then as much as comes, then more, then less.
    for (rate, seconds) in [(8.0, 110), (8.0, 130), (2.0, 60), (8.0, 60)] {
        let (mut completed, served) = (0.0, kernel.connections - u64::from(kernel.entry.active));
        for _ in 0..2 * seconds {
            let now = (sample(&mut kernel, rate), kernel.entry.active);
            assert!(now.0 >= before.0, "{now:?} after {before:?}");
            // As the engine takes it.
            let begun = (now.0 - before.0) as f64;
            completed += (begun - (f64::from(now.1) - f64::from(before.1))).max(0.0);
            before = now;
            let error = now.0 as f64 - kernel.connections as f64;
            assert!(error.abs() < 40.0, "{error}");
        }
        let served = (kernel.connections - u64::from(kernel.entry.active) - served) as f64;
        println!("{completed} of {served}");
        assert!((completed - served).abs() < 0.02 * served + 35.0, "{completed} of {served}");
    }
}

#[test]
fn who_only_resets_answers_nothing() {
    let mut kernel = Kernel::new(4, Duration::from_millis(400));
    let start = kernel.now;
    let meter = Meter::new(start, &kernel.entry, 40);
    let total = &mut kernel.entry.stats.total;
    (total.packets_out, total.bytes_out) = (1000, 40_000);
    let reset = meter.read(start + Duration::from_secs(2), &kernel.entry, 40);
    assert_eq!(reset.answered(), 0);
    // A handshake has options.
    let total = &mut kernel.entry.stats.total;
    (total.packets_out, total.bytes_out) = (1001, 40_060);
    let answers = [4_000, 4_500, 5_000, 6_000].map(|milliseconds| {
        let at = start + Duration::from_millis(milliseconds);
        reset.read(start + Duration::from_secs(4), &kernel.entry, 40).read(at, &kernel.entry, 40).answered()
    });
    assert_eq!(answers, [0, 5, 10, 20], "and it was not silent since");
}

#[test]
fn thresholds_are_lifted_where_services_outlive_the_director() {
    let other = |host| Listen::Address { protocol: Protocol::Tcp, address: address(host) };
    let mut cleared = protected(6);
    if let Dataplane::Ipvs(options) = &mut Arc::make_mut(&mut cleared).attributes.dataplane {
        options.on_stop = OnStop::Clear;
    }
    let ours = Table::from([(key(), protected(6)), (other(101), cleared), (other(102), protected(0))]);
    let mut regulator = Regulator::default();
    assert_eq!(regulator.to_lift(&ours), [key()]);

    // One that has no cap any more still has its threshold.
    let mut kernel = Kernel::new(4, Duration::from_millis(400));
    kernel.entry.destination.upper_threshold = 6;
    regulator.read(kernel.now, &other(102), &kernel.destinations());
    assert_eq!(regulator.to_lift(&ours), [key(), other(102)]);
}

#[test]
fn a_threshold_is_known_before_it_is_read() {
    let kernel = Kernel::new(4, Duration::from_millis(400));
    let services = BTreeMap::from([(key(), kernel.destinations())]);
    let mut regulator = Regulator::default();
    regulator.read(kernel.now, &key(), &services[&key()]);
    let set = regulator.requests(&Table::from([(key(), protected(6))]), &services, TICK);
    assert_eq!(set.len(), 1);
    // The cap goes before the next round.
    let ours = Table::from([(key(), protected(0))]);
    assert!(regulator.has_work(&ours));
    assert_eq!(regulator.to_lift(&ours), [key()]);
}
