//! Who runs the checks: programs apart from the others, so that many of them, or slow ones, hold up nothing but
//! each other.

use std::sync::Arc;

use tidegate_checkers::{Observation, Probe, Runner, Settings, Spec, Stats};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::config::Director;

/// Runs probes until it is dropped.
#[derive(Debug)]
pub(super) struct Runners {
    network: Runner,
    scripts: Runner,
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
        let start = |most: u32| {
            let settings = Settings { max_concurrent: most as usize, seed };
            Runner::start(settings, observations.clone())
        };
        Self {
            network: start(director.max_concurrent_checks),
            scripts: start(director.max_concurrent_scripts),
        }
    }

    /// Runs these probes and no others.
    pub(super) fn update(&self, probes: Arc<Vec<Arc<Probe>>>) {
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
        let (network, scripts) = (self.network.stats(), self.scripts.stats());
        Stats {
            probes: network.probes + scripts.probes,
            running: network.running + scripts.running,
            started: network.started + scripts.started,
            late: network.late + scripts.late,
            worst_lateness: network.worst_lateness.max(scripts.worst_lateness),
        }
    }
}
