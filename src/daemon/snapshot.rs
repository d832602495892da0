//! The state as a [`Status`]; what only the dataplane knows is filled in by whoever asked.

use std::time::Instant;

use tidegate_engine::{
    CheckStatus, Health, OverloadStatus, RealServerStatus, Run, ServerOverloadStatus, Stand, Verdict,
    VirtualServerStatus,
};

use super::event_loop::EventLoop;
use crate::control::status::{
    Check, Checks, Configuration, Dataplane, Director, Learned, Listen, Outcome, Overload, Quorum,
    RealServer, SorryServer, Status, Traffic, VirtualServer, milliseconds, seconds,
};
use crate::{config, plan};

impl EventLoop {
    /// What is, without the dataplane's numbers.
    pub(super) fn snapshot(&self, now: Instant) -> Status {
        let model = &self.model.virtual_servers;
        // Both are sorted by name and come from the same configuration.
        let pairs = self.engine.status().zip(model);
        Status {
            director: self.director(now),
            virtual_servers: pairs
                .map(|(state, configured)| self.virtual_server(now, state, configured))
                .collect(),
            virtual_routers: Vec::new(),
            vrrp: None,
        }
    }

    fn director(&self, now: Instant) -> Director {
        let stats = self.runner.stats();
        Director {
            id: self.model.director.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: seconds(now, self.started),
            stopping: self.is_stopping(),
            configuration: Configuration {
                file: self.file.display().to_string(),
                generation: self.generation,
                age_seconds: seconds(now, self.applied),
                last_error: self.last_error.clone(),
            },
            checks: Checks {
                probes: stats.probes as u64,
                running: stats.running as u64,
                started: stats.started,
                late: stats.late,
                not_run: self.not_run,
                silent: self.runner.silence.count() as u64,
                silent_checks: self.silent_checks(now),
            },
            dataplane: Dataplane {
                error: self.reports.values().find_map(|it| it.unreadable.as_ref()).map(ToString::to_string),
                ..Dataplane::default()
            },
        }
    }

    fn virtual_server(
        &self,
        now: Instant,
        state: VirtualServerStatus<'_>,
        configured: &config::VirtualServer,
    ) -> VirtualServer {
        let listen = |key: &config::Listen| Listen {
            name: key.to_string(),
            address: match key {
                config::Listen::Address { address, .. } => Some(*address),
                config::Listen::Fwmark { .. } => None,
            },
            error: self.listen_error(key),
            accepted: 0,
            no_destination: 0,
            over_limit: 0,
        };
        let pool = state.real_servers().zip(&configured.real_servers);
        VirtualServer {
            name: state.name.to_string(),
            dataplane: configured.dataplane.kind().to_string(),
            scheduler: configured.scheduler.to_string(),
            listen: configured.listen.iter().map(listen).collect(),
            quorum: Quorum {
                held: state.quorum.held,
                for_seconds: seconds(now, state.quorum.since),
                sum: state.quorum.sum,
                quorum: state.quorum.quorum,
                hysteresis: state.quorum.hysteresis,
                gained_at: state.quorum.gained_at,
                lost_below: state.quorum.lost_below,
            },
            sorry_server: state.sorry_server.map(|it| SorryServer {
                address: it.address,
                serving: it.serving,
                traffic: Traffic::default(),
            }),
            overload: state.overload.map(overload),
            real_servers: pool.map(|(state, configured)| real_server(now, state, configured)).collect(),
        }
    }
}

fn real_server(now: Instant, state: RealServerStatus<'_>, configured: &config::RealServer) -> RealServer {
    let health = match state.health {
        Health::Up { .. } if state.drained => "drained",
        Health::Up { .. } => "up",
        Health::Down { .. } => "down",
        Health::Unknown { assumed_up: true, .. } => "assumed up",
        Health::Unknown { .. } => "unknown",
    };
    RealServer {
        address: state.address,
        state: health.to_owned(),
        for_seconds: seconds(now, state.health.since()),
        reason: state.reason.to_string(),
        weight: state.weight,
        configured_weight: state.configured_weight,
        operator_weight: state.operator_weight,
        advised_weight: state.advised_weight,
        drained: state.drained,
        max_connections: configured.max_connections,
        overload: state.overload.map(learned),
        traffic: Traffic::default(),
        checks: state.checks().map(|it| check(now, it)).collect(),
    }
}

fn overload(it: OverloadStatus) -> Overload {
    Overload {
        mode: plan::overload(it.mode).to_owned(),
        sampled: it.sampled,
        demand: tenths(it.demand),
        capacity: it.capacity.map(tenths),
        turned_away: tenths(it.turned_away),
    }
}

fn learned(it: ServerOverloadStatus) -> Learned {
    let stand = match it.stand {
        Stand::AsChecked => "as checked",
        Stand::Kept => "kept",
        Stand::Held => "held",
    };
    let (now, at_rest) = it.residence;
    Learned {
        stand: stand.to_owned(),
        cap: it.cap,
        learned_cap: it.learned,
        residence_ms: now.map(|it| tenths(it * 1e3)),
        residence_at_rest_ms: at_rest.map(|it| tenths(it * 1e3)),
        sureness: (it.sureness * 1e2).round() / 1e2,
        rate: tenths(it.rate),
    }
}

/// More digits say nothing to anybody.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn check(now: Instant, state: CheckStatus<'_>) -> Check {
    let (verdict, count, needed) = match state.verdict {
        Verdict::Unknown => ("unknown", 0, 1),
        Verdict::Up { failures } => ("up", failures, state.rules.fall),
        Verdict::Down { passes } => ("down", passes, state.rules.rise),
    };
    let outcome = |run: &Run| Outcome {
        kind: run.outcome.kind.to_string(),
        detail: run.outcome.detail.to_string(),
        times: run.times,
        latency_ms: milliseconds(run.latency),
        age_seconds: seconds(now, run.last),
    };
    Check {
        name: state.rules.key.to_string(),
        state: verdict.to_owned(),
        count,
        needed,
        outcomes: state.history.iter().rev().map(outcome).collect(),
    }
}
