//! Who runs the checks: programs apart from the others, so that many of them, or slow ones, hold up nothing but
//! each other.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use rustix::process::{Resource, getrlimit};
use tidegate_checkers::{Observation, Probe, Runner, Settings, Spec, Stats};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::silence::Silence;
use crate::config::Director;

/// They do some 80,000 checks a second; more would only be in the way of others.
const MAX_THREADS: usize = 4;

/// Runs probes until it is dropped.
#[derive(Debug)]
pub(super) struct Runners {
    probes: Arc<Vec<Arc<Probe>>>,
    network: Runner,
    scripts: Runner,
    /// Which of the probes have stopped.
    pub(super) silence: Silence,
}

impl Runners {
    /// Starts without probes.
    pub(super) fn start(
        runtime: &Handle,
        director: &Director,
        seed: u64,
        observations: &mpsc::Sender<Vec<Observation>>,
    ) -> Self {
        let _inside = runtime.enter();
        let descriptors = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |it| it as usize);
        let start = |most: u32, threads| {
            let settings = Settings { max_concurrent: (most as usize).min(descriptors / 2), threads, seed };
            Runner::start(settings, observations.clone())
        };
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self {
            probes: Arc::default(),
            network: start(director.max_concurrent_checks, cores.min(MAX_THREADS)),
            scripts: start(director.max_concurrent_scripts, 1),
            silence: Silence::default(),
        }
    }

    /// Runs these probes, in ascending order of id, and no others; the files that they need are read anew.
    pub(super) fn update(&mut self, probes: Arc<Vec<Arc<Probe>>>) {
        if Arc::ptr_eq(&self.probes, &probes) {
            self.network.read_files_anew();
            self.scripts.read_files_anew();
            return;
        }
        self.probes = Arc::clone(&probes);
        self.silence.renew(&probes);
        let is_script = |probe: &Arc<Probe>| matches!(*probe.spec, Spec::Script(_));
        if !probes.iter().any(is_script) {
            self.network.update(probes);
            self.scripts.update(Vec::new());
            return;
        }
        let (scripts, network): (Vec<_>, _) = probes.iter().cloned().partition(is_script);
        self.network.update(network);
        self.scripts.update(scripts);
    }

    /// How it goes with all of them.
    pub(super) fn stats(&self) -> Stats {
        self.network.stats().and(self.scripts.stats())
    }

    /// Tries again to start the threads that the system has not given; why there still are not all, if so.
    pub(super) fn start_missing(&self) -> Option<String> {
        let (network, scripts) = (self.network.start_missing(), self.scripts.start_missing());
        network.or(scripts)
    }

    /// Why some checks do not run and never will, if so.
    pub(super) fn fault(&self) -> Option<String> {
        self.network.fault().or_else(|| self.scripts.fault())
    }
}
