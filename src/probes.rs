//! From the configuration to what the engine and the checkers are told. Pure.
//!
//! Several virtual servers that ask the same of the same server share one probe. A probe keeps its id for as long
//! as its question and its timing stay the same; an id is never used again, so an answer to an old question finds
//! nobody.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_checkers::{Probe, Spec, Target};
use tidegate_engine::{self as engine, ProbeId};

use crate::config::{Check, Model, RealServer, VirtualServer};

/// Which probes there are, across reloads.
#[derive(Default)]
pub struct Probes {
    known: HashMap<Question, Known>,
    /// Those of the present configuration by id.
    current: Vec<Arc<Probe>>,
    assignments: u64,
    last_id: u64,
}

struct Known {
    probe: Arc<Probe>,
    /// The last assignment that has it.
    assignment: u64,
}

#[derive(PartialEq, Eq, Hash)]
struct Question {
    target: Target,
    spec: Arc<Spec>,
    interval: Duration,
    timeout: Duration,
}

impl Probes {
    /// What to ask from now on, and the engine's view of the same configuration.
    pub fn assign(&mut self, model: &Model) -> (Vec<Arc<Probe>>, engine::Config) {
        self.assignments += 1;
        let mut assignment = Assignment { all: self, probes: Vec::new() };
        let virtual_servers = model.virtual_servers.iter().map(|it| assignment.virtual_server(it)).collect();
        let probes = assignment.probes;
        self.known.retain(|_, known| known.assignment == self.assignments);
        self.current.clone_from(&probes);
        self.current.sort_unstable_by_key(|probe| probe.id);
        (probes, engine::Config { virtual_servers })
    }

    /// Who is asked; none for a probe of an earlier configuration.
    pub fn target(&self, id: u64) -> Option<SocketAddr> {
        let at = self.current.binary_search_by_key(&id, |probe| probe.id).ok()?;
        Some(self.current[at].target.address)
    }
}

struct Assignment<'a> {
    all: &'a mut Probes,
    probes: Vec<Arc<Probe>>,
}

impl Assignment<'_> {
    fn virtual_server(&mut self, configured: &VirtualServer) -> engine::VirtualServer {
        let check = |check: &Check| engine::Check {
            key: Arc::clone(&check.name),
            rise: check.rise,
            fall: check.fall,
            initially: check.initially,
            only_admission: check.only_admission,
        };
        let mut real_server = |server: &RealServer| engine::RealServer {
            address: server.address,
            weight: server.weight,
            probes: configured.checks.iter().map(|check| self.probe(check, server)).collect(),
        };
        engine::VirtualServer {
            name: Arc::clone(&configured.name),
            quorum: configured.quorum,
            hysteresis: configured.hysteresis,
            sorry_server: configured.sorry_server.map(|it| it.address),
            slow_start: configured.slow_start,
            checks: configured.checks.iter().map(check).collect(),
            real_servers: configured.real_servers.iter().map(&mut real_server).collect(),
        }
    }

    fn probe(&mut self, check: &Check, server: &RealServer) -> ProbeId {
        let mut address = check.connect_to.unwrap_or(server.address);
        if let Some(port) = check.port {
            address.set_port(port);
        }
        let question = Question {
            target: Target { address, bind: check.bind, fwmark: check.fwmark },
            spec: Arc::clone(&check.spec),
            interval: check.interval,
            timeout: check.timeout,
        };
        let Probes { known, assignments, last_id, .. } = &mut *self.all;
        let known = known.entry(question).or_insert_with_key(|question| {
            *last_id += 1;
            let probe = Arc::new(Probe {
                id: *last_id,
                target: question.target,
                spec: Arc::clone(&question.spec),
                interval: question.interval,
                timeout: question.timeout,
            });
            Known { probe, assignment: 0 }
        });
        if known.assignment != *assignments {
            known.assignment = *assignments;
            self.probes.push(Arc::clone(&known.probe));
        }
        ProbeId(known.probe.id)
    }
}

/// A check's outcome in the engine's terms.
pub fn outcome(outcome: tidegate_checkers::Outcome) -> engine::Outcome {
    use engine::OutcomeKind as Kind;
    use tidegate_checkers::Outcome as It;
    let (kind, detail) = match outcome {
        It::Passed(text) => (Kind::Passed, text),
        It::Refused => (Kind::Refused, String::new()),
        It::Reset(text) => (Kind::Reset, text),
        It::ConnectTimeout => (Kind::ConnectTimeout, String::new()),
        It::AnswerTimeout(text) => (Kind::AnswerTimeout, text),
        It::Unreachable(text) => (Kind::Unreachable, text),
        It::Tls(text) => (Kind::Tls, text),
        It::WrongAnswer(text) => (Kind::WrongAnswer, text),
        It::NotRun(text) => (Kind::NotRun, text),
    };
    engine::Outcome { kind, detail: detail.into() }
}

#[cfg(test)]
mod tests;
