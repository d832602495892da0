//! What is simulated: servers, clients, checks, the load over time and what goes wrong.
//!
//! All times are seconds from the beginning of what is measured, all rates per second.

use std::path::Path;

use anyhow::{Context, ensure};
use fastrand::Rng;
use serde::{Deserialize, Deserializer, de};

use crate::config::{VirtualServer, parse_duration};

/// A scenario's file is no larger, in bytes.
const FILE_SIZE: u64 = 1 << 20;
/// Requests, with none that come again; beyond it a run would take minutes.
const MOST_REQUESTS: f64 = 20_000_000.0;
/// Servers with fewer slots are not scaled.
const SMALL: f64 = 100.0;
/// In seconds.
const DAY: f64 = 86_400.0;
/// How far a parameter is drawn from its value, as a share of it.
const SPREAD: f64 = 0.3;

/// The scenarios that are built in, by name.
const BUILT_IN: [(&str, &str); 20] = [
    ("S1", include_str!("scenarios/S1.toml")),
    ("S1-long-backlog", include_str!("scenarios/S1-long-backlog.toml")),
    ("S1b", include_str!("scenarios/S1b.toml")),
    ("S2", include_str!("scenarios/S2.toml")),
    ("S3", include_str!("scenarios/S3.toml")),
    ("S4", include_str!("scenarios/S4.toml")),
    ("S5", include_str!("scenarios/S5.toml")),
    ("S6", include_str!("scenarios/S6.toml")),
    ("S7", include_str!("scenarios/S7.toml")),
    ("S8", include_str!("scenarios/S8.toml")),
    ("S9", include_str!("scenarios/S9.toml")),
    ("S10", include_str!("scenarios/S10.toml")),
    ("S11", include_str!("scenarios/S11.toml")),
    ("S12", include_str!("scenarios/S12.toml")),
    ("S13", include_str!("scenarios/S13.toml")),
    ("S14", include_str!("scenarios/S14.toml")),
    ("S15", include_str!("scenarios/S15.toml")),
    ("S16", include_str!("scenarios/S16.toml")),
    ("eight", include_str!("scenarios/eight.toml")),
    ("eight-unequal", include_str!("scenarios/eight-unequal.toml")),
];

/// One scenario. What a file does not say is as in the pool of the LVS HOWTO's chapter 32.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One line for people.
    pub title: String,
    /// How long the first load lasts before anything is measured.
    #[serde(deserialize_with = "seconds")]
    pub warm_up: f64,
    /// How long is measured.
    #[serde(deserialize_with = "seconds")]
    pub duration: f64,
    /// The real servers.
    #[serde(default)]
    pub servers: Servers,
    /// Who comes, and how they behave.
    #[serde(default)]
    pub clients: Clients,
    /// How the director checks.
    #[serde(default)]
    pub check: Check,
    /// The load, in ascending order of time; the first step is that of the warm-up too.
    pub load: Vec<Load>,
    /// What goes wrong.
    #[serde(default)]
    pub fault: Vec<Fault>,
}

/// The pool. A server works on `slots` requests at a time and slows down beyond `knee`: a request takes
/// residence × (1 + slowdown × (n / knee − 1)) at n > knee.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Servers {
    /// How many.
    pub count: usize,
    /// M.
    pub slots: f64,
    /// K.
    pub knee: f64,
    /// B: connections that wait for a slot.
    pub backlog: f64,
    /// S: how long a request takes.
    #[serde(deserialize_with = "seconds")]
    pub residence: f64,
    /// The residence's standard deviation over its mean; 0: all take the same.
    pub variation: f64,
    /// θ.
    pub slowdown: f64,
    /// ω: the share of its work that a client who gave up leaves to be done.
    pub abandoned: f64,
    /// How long an answer to a check takes when it does not wait.
    #[serde(deserialize_with = "seconds")]
    pub health: f64,
    /// Sizes relative to the above, one after the other and again from the first.
    pub sizes: Vec<f64>,
    /// Weights, one after the other and again from the first.
    pub weights: Vec<u32>,
}

/// The clients.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clients {
    /// How long one waits to be served.
    #[serde(deserialize_with = "seconds")]
    pub patience: f64,
    /// The probability that one who was not served comes again.
    pub come_again: f64,
    /// How often at most.
    pub tries: u32,
    /// After how long, on average.
    #[serde(deserialize_with = "seconds")]
    pub delay: f64,
    /// Clients are this many different ones that stay with their server; 0: no persistence.
    pub persistent: u32,
}

/// The check of every server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Check {
    /// From one to the next.
    #[serde(deserialize_with = "seconds")]
    pub interval: f64,
    /// What one may take.
    #[serde(deserialize_with = "seconds")]
    pub timeout: f64,
    /// Passes in a row that raise a server.
    pub rise: u32,
    /// Failures in a row that take one down.
    pub fall: u32,
}

/// From `at` on this many new requests come; one of the two is given.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Since when.
    #[serde(deserialize_with = "seconds")]
    pub at: f64,
    /// Relative to what the whole pool can serve at its knees.
    #[serde(default)]
    pub rho: f64,
    /// Per second.
    #[serde(default)]
    pub rate: f64,
}

/// Something that happens to some servers, or to all.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// From when.
    #[serde(deserialize_with = "seconds")]
    pub at: f64,
    /// For how long; to the end when it is not given.
    #[serde(default = "for_ever", rename = "for", deserialize_with = "seconds")]
    pub lasts: f64,
    /// And again after so long, over and over; 0: once.
    #[serde(default, deserialize_with = "seconds")]
    pub every: f64,
    /// How many servers, from the first; 0: all.
    #[serde(default)]
    pub servers: usize,
    /// How much, for `leak`, `grow` and `flood`.
    #[serde(default)]
    pub factor: f64,
}

/// Kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// No power: nothing answers.
    Power,
    /// The program has ended: connections are refused.
    Crash,
    /// Slots and knee are `factor` of what they were.
    Leak,
    /// Residence, slots and knee are `factor` times what they were: nothing is wrong.
    Grow,
    /// Checks get a wrong answer; the service is fine.
    Wrong,
    /// Checks get lost; the service is fine.
    Blip,
    /// Director and servers do not reach each other. Connections that live outlast it.
    Cut,
    /// The director does nothing. A proxy's traffic stops with it.
    Stall,
    /// Another director that knows nothing takes over at this moment, with the live connections.
    Takeover,
    /// `factor` SYNs for each new request that come from nobody.
    Flood,
}

impl Default for Servers {
    fn default() -> Self {
        Self {
            count: 27,
            slots: 1800.0,
            knee: 1500.0,
            backlog: 511.0,
            residence: 20.0,
            variation: 1.0,
            slowdown: 2.0,
            abandoned: 0.5,
            health: 0.005,
            sizes: vec![1.0],
            weights: vec![1],
        }
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self { patience: 8.0, come_again: 0.8, tries: u32::MAX, delay: 3.0, persistent: 0 }
    }
}

impl Default for Check {
    fn default() -> Self {
        Self { interval: 2.0, timeout: 2.0, rise: 2, fall: 3 }
    }
}

impl Scenario {
    /// A built-in one by its name, or one from a file.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the file, with line and column where it is not a scenario.
    pub fn find(name: &str) -> anyhow::Result<Self> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Self::parse(text);
        }
        let path = Path::new(name);
        if path.extension().is_none_or(|it| it != "toml") {
            let names: Vec<_> = names().collect();
            anyhow::bail!("no scenario is named {name:?}; there are {}, or FILE.toml", names.join(", "));
        }
        let read = || {
            let size = std::fs::metadata(path)?.len();
            ensure!(size <= FILE_SIZE, "larger than {FILE_SIZE} bytes");
            Ok(std::fs::read_to_string(path)?)
        };
        Self::parse(&read().with_context(|| format!("cannot read {name}"))?).with_context(|| name.to_owned())
    }

    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        scenario.validate()?;
        Ok(scenario)
    }

    pub(super) fn validate(&self) -> anyhow::Result<()> {
        let Servers { count, slots, knee, backlog, residence, .. } = self.servers;
        ensure!((1..=1000).contains(&count), "[servers] count must be 1 to 1000, not {count}");
        let finite = [slots, knee, backlog, self.servers.variation, self.servers.slowdown];
        let sizes = &self.servers.sizes;
        let sane = |it: &f64| (0.0..=1e6).contains(it);
        ensure!(finite.iter().chain(sizes).all(sane), "[servers]: numbers must be 0 to 1000000");
        ensure!(
            sizes.iter().all(|it| it * knee >= 1.0) && knee <= slots && residence > 0.0,
            "[servers]: a knee of at least 1, not above `slots`, and a residence above 0 are needed"
        );
        ensure!(
            self.servers.weights.iter().all(|it| *it > 0) && !self.servers.weights.is_empty(),
            "[servers] weights must be above 0"
        );
        ensure!(!sizes.is_empty(), "[servers] sizes must not be empty");
        for share in [self.servers.abandoned, self.clients.come_again] {
            ensure!((0.0..=1.0).contains(&share), "`abandoned` and `come_again` must be 0 to 1, not {share}");
        }
        let Check { interval, timeout, rise, fall } = self.check;
        ensure!(
            interval >= 0.1 && timeout > 0.0,
            "[check]: an interval of 0.1 s or more and a timeout are needed"
        );
        ensure!(rise > 0 && fall > 0, "[check]: rise and fall must be 1 or more");
        ensure!(!self.load.is_empty(), "a [[load]] is needed");
        ensure!(self.load.is_sorted_by_key(|it| it.at), "[[load]] must be in the order of `at`");
        for load in &self.load {
            ensure!(
                (load.rho > 0.0) != (load.rate > 0.0),
                "each [[load]] needs either `rho` or `rate`, above 0"
            );
        }
        for fault in &self.fault {
            ensure!(fault.servers <= count, "[[fault]]: {} servers of {count}", fault.servers);
            ensure!((0.0..=1000.0).contains(&fault.factor), "[[fault]] factor must be 0 to 1000");
            let needed = matches!(fault.kind, FaultKind::Leak | FaultKind::Grow | FaultKind::Flood);
            ensure!(needed == (fault.factor > 0.0), "`factor` belongs to the faults leak, grow and flood");
            ensure!(
                fault.every == 0.0 || fault.every >= 1.0 && fault.every > fault.lasts,
                "[[fault]] every must be 1 s or more, and more than `for`"
            );
        }
        let whole = self.warm_up + self.duration;
        ensure!(
            self.duration >= 1.0 && whole <= DAY,
            "`duration` must be 1 s or more, and a day with the warm-up"
        );
        let Clients { come_again, tries, delay, persistent, .. } = self.clients;
        ensure!(
            delay >= 0.1 && persistent <= 1_000_000,
            "[clients]: a delay of 0.1 s or more, persistent to 1000000"
        );
        ensure!(
            come_again <= 0.95 || tries <= 100,
            "[clients]: who always comes again does so 100 times at most"
        );
        let most = self.load.iter().map(|it| self.rate(it)).fold(0.0, f64::max);
        let requests = most * whole;
        ensure!(requests <= MOST_REQUESTS, "{requests:.0} requests are more than {MOST_REQUESTS}");
        Ok(())
    }

    /// Takes the pool's size, its weights and the timing of its first check from a configuration.
    pub fn configure(&mut self, configured: &VirtualServer) -> anyhow::Result<()> {
        let weights: Vec<_> =
            configured.real_servers.iter().map(|it| it.weight).filter(|it| *it > 0).collect();
        ensure!(!weights.is_empty(), "virtual server {:?} has no real server with a weight", configured.name);
        // A load that was given as a rate stays what it is.
        self.servers.count = weights.len();
        self.servers.weights = weights;
        if let Some(check) = configured.checks.first() {
            self.check = Check {
                interval: check.interval.as_secs_f64(),
                timeout: check.timeout.as_secs_f64(),
                rise: check.rise,
                fall: check.fall,
            };
        }
        self.validate()
    }

    /// The same with every parameter of servers and clients drawn evenly from ± 30 % of its value.
    #[must_use]
    pub fn drawn(&self, rng: &mut Rng) -> Self {
        let mut drawn = self.clone();
        let mut draw = |value: &mut f64| *value *= 1.0 + SPREAD * (2.0 * rng.f64() - 1.0);
        let Servers { slots, knee, backlog, residence, variation, slowdown, abandoned, health, .. } =
            &mut drawn.servers;
        let mut beyond = *slots - *knee;
        for value in [knee, &mut beyond, backlog, residence, variation, slowdown, abandoned, health] {
            draw(value);
        }
        drawn.servers.knee = drawn.servers.knee.round();
        drawn.servers.slots = (drawn.servers.knee + beyond).round();
        let Clients { patience, come_again, delay, .. } = &mut drawn.clients;
        for value in [patience, &mut *come_again, delay] {
            draw(value);
        }
        *come_again = come_again.min(0.95);
        drawn.servers.abandoned = drawn.servers.abandoned.min(1.0);
        drawn
    }

    /// The same with servers of `factor` times the size, for speed; small ones stay as they are.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        if self.servers.slots < SMALL {
            return self;
        }
        let Servers { slots, knee, backlog, .. } = &mut self.servers;
        for size in [slots, knee, backlog] {
            *size = (*size * factor).round().max(1.0);
        }
        self
    }

    /// What the whole pool can serve, per second.
    pub fn capacity(&self) -> f64 {
        let knees: f64 = (0..self.servers.count).map(|index| self.servers.knee_of(index)).sum();
        knees / self.servers.residence
    }

    /// Requests per second of one step.
    pub fn rate(&self, load: &Load) -> f64 {
        if load.rate > 0.0 { load.rate } else { load.rho * self.capacity() }
    }
}

impl Servers {
    /// Relative to the pool's numbers.
    pub fn size_of(&self, index: usize) -> f64 {
        self.sizes[index % self.sizes.len()]
    }

    fn knee_of(&self, index: usize) -> f64 {
        self.knee * self.size_of(index)
    }
}

/// The names of the built-in scenarios.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let duration = parse_duration(&text).ok_or_else(|| {
        de::Error::custom(format!("a duration is a number and its unit (ms, s, m, h or d), not {text:?}"))
    })?;
    Ok(duration.as_secs_f64())
}

fn for_ever() -> f64 {
    f64::INFINITY
}
