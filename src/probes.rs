//! From the configuration to what the engine and the checkers are told. Pure.
//!
//! Several virtual servers that ask the same of the same server share one probe. A probe keeps its id for as long
//! as its question and its timing stay the same; an id is never used again, so an answer to an old question finds
//! nobody.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_checkers::{Probe, Spec, Target};
use tidegate_engine::{self as engine, ProbeId};

use crate::config::{Check, Model, RealServer, VirtualServer};

/// Which probes there are, across reloads.
#[derive(Default)]
pub struct Probes {
    known: HashMap<Question, u64>,
    targets: BTreeMap<u64, SocketAddr>,
    last_id: u64,
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
        let mut assignment =
            Assignment { before: std::mem::take(&mut self.known), now: self, probes: Vec::new() };
        let virtual_servers = model.virtual_servers.iter().map(|it| assignment.virtual_server(it)).collect();
        let probes = assignment.probes;
        self.targets = probes.iter().map(|probe| (probe.id, probe.target.address)).collect();
        (probes, engine::Config { virtual_servers })
    }

    /// Who is asked; none for a probe of an earlier configuration.
    pub fn target(&self, id: u64) -> Option<SocketAddr> {
        self.targets.get(&id).copied()
    }
}

struct Assignment<'a> {
    before: HashMap<Question, u64>,
    now: &'a mut Probes,
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
        if let Some(id) = self.now.known.get(&question) {
            return ProbeId(*id);
        }
        let id = self.before.remove(&question).unwrap_or_else(|| {
            self.now.last_id += 1;
            self.now.last_id
        });
        self.probes.push(Arc::new(Probe {
            id,
            target: question.target,
            spec: Arc::clone(&question.spec),
            interval: question.interval,
            timeout: question.timeout,
        }));
        self.now.known.insert(question, id);
        ProbeId(id)
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
