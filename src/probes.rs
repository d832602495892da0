//! From the configuration to what the engine and the checkers are told. Pure.
//!
//! Several virtual servers that ask the same of the same server share one probe. A probe keeps its id for as long
//! as its question and its timing stay the same; an id is never used again, so an answer to an old question finds
//! nobody.

use std::collections::BTreeSet;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_checkers::{Probe, Spec, Target};
use tidegate_engine::{self as engine, ProbeId};

use crate::config::{Check, Model, RealServer, VirtualServer};

/// Which probes there are, across reloads.
#[derive(Default)]
pub struct Probes {
    /// With how many checks of real servers ask for each.
    known: HashMap<Question, u32>,
    /// The same by id.
    all: Arc<Vec<Arc<Probe>>>,
    last_id: u64,
    /// Of the last outcome that had one.
    last_detail: Arc<str>,
}

/// What a probe asks, and how often: its id does not matter.
struct Question(Arc<Probe>);

impl Question {
    fn new(id: u64, check: &Check, server: &RealServer) -> Self {
        let mut address = check.connect_to.unwrap_or(server.address);
        if let Some(port) = check.port {
            address.set_port(port);
        }
        if !check.spec.has_port() {
            // Whoever asks for the host asks the same, whatever is served there.
            address.set_port(0);
        }
        Self(Arc::new(Probe {
            id,
            target: Target { address, bind: check.bind, fwmark: check.fwmark },
            spec: Arc::clone(&check.spec),
            interval: check.interval,
            timeout: check.timeout,
        }))
    }

    fn parts(&self) -> (&Target, &Spec, Duration, Duration) {
        let Probe { id: _, target, spec, interval, timeout } = &*self.0;
        (target, spec, *interval, *timeout)
    }
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Question {}

impl Hash for Question {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl Probes {
    /// What to ask after a change of the configuration, and the engine's view of the virtual servers that are not
    /// `kept` as they were.
    pub fn assign(
        &mut self,
        before: &Model,
        after: &Model,
        kept: &BTreeSet<Arc<str>>,
    ) -> (Arc<Vec<Arc<Probe>>>, engine::Config) {
        let mut new = Vec::new();
        let others = |model: &Model| {
            let others = model.virtual_servers.iter().filter(|it| !kept.contains(&it.name));
            others.cloned().collect::<Vec<_>>()
        };
        let virtual_servers = others(after).iter().map(|it| self.virtual_server(it, &mut new)).collect();
        let mut gone = BTreeSet::new();
        for virtual_server in others(before) {
            for question in questions(&virtual_server) {
                gone.extend(self.release(question));
            }
        }
        if !new.is_empty() || !gone.is_empty() {
            let all = Arc::make_mut(&mut self.all);
            all.retain(|probe| !gone.contains(&probe.id));
            // Ids ascend.
            all.append(&mut new);
        }
        (Arc::clone(&self.all), engine::Config { virtual_servers })
    }

    /// Who is asked; none for a probe of an earlier configuration.
    pub fn target(&self, id: u64) -> Option<SocketAddr> {
        let at = self.all.binary_search_by_key(&id, |probe| probe.id).ok()?;
        Some(self.all[at].target.address)
    }

    /// A check's outcome in the engine's terms. A detail that most servers answer, such as `200 OK`, is kept once.
    pub fn outcome(&mut self, outcome: tidegate_checkers::Outcome) -> engine::Outcome {
        use engine::OutcomeKind as Kind;
        use tidegate_checkers::{Advice, Outcome as It};
        let mut advice = None;
        let (kind, detail) = match outcome {
            It::Advised(text, asked) => {
                advice = Some(match asked {
                    Advice::Weight(weight) => engine::Advice::Weight(weight),
                    Advice::Percent(percent) => engine::Advice::Percent(percent),
                });
                (Kind::Passed, text)
            }
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
        if detail.is_empty() {
            // It needs no memory, and is no reason to forget the other.
            return engine::Outcome { kind, detail: Arc::default(), advice };
        }
        if *self.last_detail != *detail {
            self.last_detail = detail.into();
        }
        engine::Outcome { kind, detail: Arc::clone(&self.last_detail), advice }
    }

    fn virtual_server(
        &mut self,
        configured: &VirtualServer,
        new: &mut Vec<Arc<Probe>>,
    ) -> engine::VirtualServer {
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
            max_connections: server.max_connections,
            probes: configured.checks.iter().map(|check| self.ask(check, server, new)).collect(),
        };
        engine::VirtualServer {
            name: Arc::clone(&configured.name),
            quorum: configured.quorum,
            hysteresis: configured.hysteresis,
            sorry_server: configured.sorry_server.map(|it| it.address),
            slow_start: configured.slow_start,
            overload: configured.overload,
            any_server: configured.scheduler.gives_any_server(configured.scheduler_flags),
            checks: configured.checks.iter().map(check).collect(),
            real_servers: configured.real_servers.iter().map(&mut real_server).collect(),
        }
    }

    fn ask(&mut self, check: &Check, server: &RealServer, new: &mut Vec<Arc<Probe>>) -> ProbeId {
        match self.known.entry(Question::new(self.last_id + 1, check, server)) {
            Entry::Occupied(mut known) => {
                *known.get_mut() += 1;
                ProbeId(known.key().0.id)
            }
            Entry::Vacant(place) => {
                let probe = Arc::clone(&place.key().0);
                self.last_id = probe.id;
                place.insert(1);
                new.push(probe);
                ProbeId(self.last_id)
            }
        }
    }

    /// One that asks less; the id of the probe if it was the last.
    fn release(&mut self, question: Question) -> Option<u64> {
        let Entry::Occupied(mut known) = self.known.entry(question) else { return None };
        *known.get_mut() -= 1;
        (*known.get() == 0).then(|| known.remove_entry().0.0.id)
    }
}

fn questions(virtual_server: &VirtualServer) -> impl Iterator<Item = Question> {
    let servers = virtual_server.real_servers.iter();
    servers.flat_map(|server| virtual_server.checks.iter().map(|check| Question::new(0, check, server)))
}

#[cfg(test)]
mod tests;
