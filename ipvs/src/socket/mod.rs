//! The connection to the kernel: blocking, for a thread of its own.

mod error;
mod link;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use netlink_packet_core::DecodeError;
use rustix::io::Errno;

pub use error::{Error, Fault};
use link::{BATCH, Link};

use crate::clock;
use crate::codec::{
    decode_daemon, decode_destination, decode_info, decode_service, decode_timeouts, encode_daemon,
    encode_timeouts, service_key,
};
use crate::request::Request;
use crate::table::{DestinationEntry, Info, Key, SyncDaemon, SyncRole, Table, Timeouts};
use crate::wire::{
    Attribute, CONTROL_FAMILY, Command, ControlAttribute, FAMILY_NAME, FamilyLookup, Message, Nested,
};

/// A connection to IPVS in the network namespace in which it was opened.
///
/// Blocks, each call for at most the time given to [`Connection::open`] plus what the kernel needs to load a
/// module. After [`Fault::TimedOut`], [`Fault::Malformed`] or an error of a reading, open another: there may be
/// answers on their way, or the module may have been loaded anew under another number.
pub struct Connection {
    link: Link,
    family: u16,
    timeout: Duration,
}

impl Connection {
    /// Connects; the kernel loads `ip_vs` if it can.
    pub fn open(timeout: Duration) -> Result<Self, Error> {
        Self::try_open(timeout).map_err(|fault| fault.during("connecting to IPVS"))
    }

    fn try_open(timeout: Duration) -> Result<Self, Fault> {
        let mut link = Link::open()?;
        let question = FamilyLookup(vec![ControlAttribute::FamilyName(FAMILY_NAME.to_owned())]);
        let answers = link.ask(CONTROL_FAMILY, vec![question], clock::now() + timeout)?;
        let answer = only(answers).map_err(no_ipvs)?;
        let family = answer.id().ok_or_else(|| Fault::Malformed("a family without a number".to_owned()))?;
        Ok(Self { link, family, timeout })
    }

    /// Everything that is there. Services that come or go meanwhile may be in it or not.
    pub fn dump(&mut self) -> Result<Table, Error> {
        self.try_dump().map_err(|fault| fault.during("reading the table of IPVS"))
    }

    fn try_dump(&mut self) -> Result<Table, Fault> {
        let deadline = self.deadline();
        let mut table = self.all_services(deadline)?;
        self.fill(&mut table, deadline)?;
        Ok(table)
    }

    /// All services, without their destinations. That is quick: it is one question, and for the destinations of each
    /// service the kernel has one of its own.
    pub fn services(&mut self) -> Result<Table, Error> {
        let deadline = self.deadline();
        self.all_services(deadline).map_err(|fault| fault.during("reading the services of IPVS"))
    }

    /// The destinations of a service; none where there is no such service.
    pub fn destinations(&mut self, key: &Key) -> Result<BTreeMap<SocketAddr, DestinationEntry>, Error> {
        let deadline = self.deadline();
        self.destinations_of(key, deadline)
            .map_err(|fault| fault.during(format!("reading the destinations of {key}")))
    }

    /// Those of these services that are there.
    pub fn read(&mut self, keys: &[Key]) -> Result<Table, Error> {
        self.try_read(keys).map_err(|fault| fault.during("reading services of IPVS"))
    }

    fn try_read(&mut self, keys: &[Key]) -> Result<Table, Fault> {
        let deadline = self.deadline();
        let mut services = Vec::new();
        for keys in keys.chunks(BATCH) {
            let question = |key| Message::about_service(Command::GetService, service_key(key));
            let answers = self.link.ask(self.family, keys.iter().map(question).collect(), deadline)?;
            for answer in answers {
                match answer {
                    Ok(answer) => services.push(answer),
                    Err(Errno::SRCH) => {}
                    Err(errno) => return Err(no_ipvs(Fault::general(errno))),
                }
            }
        }
        let mut table = decode_services(services)?;
        self.fill(&mut table, deadline)?;
        Ok(table)
    }

    fn all_services(&mut self, deadline: Instant) -> Result<Table, Fault> {
        decode_services(self.list(Message::Command(Command::GetService, Vec::new()), deadline)?)
    }

    fn fill(&mut self, table: &mut Table, deadline: Instant) -> Result<(), Fault> {
        for (key, entry) in table {
            entry.destinations = self.destinations_of(key, deadline)?;
        }
        Ok(())
    }

    fn destinations_of(
        &mut self,
        key: &Key,
        deadline: Instant,
    ) -> Result<BTreeMap<SocketAddr, DestinationEntry>, Fault> {
        let question = Message::about_service(Command::GetDestination, service_key(key));
        let answers = self.list(question, deadline)?;
        let destinations = answers.into_iter().flat_map(attributes).filter_map(|attribute| match attribute {
            Attribute::Destination(destination) => {
                Some(decode_destination(key.family(), destination.attributes).map_err(malformed))
            }
            _ => None,
        });
        destinations.collect()
    }

    /// Makes the requests in order; one result each. One that fails does not stop the others, except that nothing
    /// more is sent once the kernel does not answer.
    pub fn apply(&mut self, requests: &[Request]) -> Vec<Result<(), Error>> {
        let deadline = self.deadline();
        let mut results = Vec::with_capacity(requests.len());
        for batch in Request::batches(requests, BATCH) {
            match self.apply_batch(batch, deadline) {
                Ok(batch) => results.extend(batch),
                Err(fault) => {
                    let undone = requests.iter().skip(results.len());
                    let failed = undone.map(|request| Err(fault.clone().during(request.to_string())));
                    let failed: Vec<_> = failed.collect();
                    results.extend(failed);
                    break;
                }
            }
        }
        results
    }

    /// Puts as new first; what turns out to be there is changed in a second round.
    fn apply_batch(&mut self, batch: &[Request], deadline: Instant) -> Result<Vec<Result<(), Error>>, Fault> {
        let messages = batch.iter().map(Request::message).collect();
        let mut outcomes = self.link.exchange(self.family, messages, deadline)?;

        let there: Vec<_> =
            (0..batch.len()).filter(|place| outcomes.get(*place) == Some(&Err(Errno::EXIST))).collect();
        if !there.is_empty() {
            let messages = there.iter().filter_map(|place| batch.get(*place)?.change_message()).collect();
            let changed = self.link.exchange(self.family, messages, deadline)?;
            for (place, outcome) in there.into_iter().zip(changed) {
                if let Some(first) = outcomes.get_mut(place) {
                    *first = outcome;
                }
            }
        }

        let judge = |(request, outcome): (&Request, Result<(), Errno>)| match outcome {
            Ok(()) => Ok(()),
            Err(errno) => match Fault::of_request(request, errno) {
                None => Ok(()),
                Some(fault) => Err(fault.during(request.to_string())),
            },
        };
        Ok(batch.iter().zip(outcomes).map(judge).collect())
    }

    /// The kernel's IPVS.
    pub fn info(&mut self) -> Result<Info, Error> {
        let ask = |it: &mut Self| {
            let question = Message::Command(Command::GetInfo, Vec::new());
            match it.ask(question)? {
                Message::Info(attributes) => decode_info(attributes).map_err(malformed),
                _ => Err(Fault::Malformed("no information in it".to_owned())),
            }
        };
        ask(self).map_err(|fault| fault.during("asking IPVS for its version"))
    }

    /// How long connections are remembered.
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let question = Message::Command(Command::GetConfig, Vec::new());
        let answer = self.ask(question).map_err(|fault| fault.during("reading the timeouts of IPVS"))?;
        Ok(decode_timeouts(attributes(answer)))
    }

    /// Changes how long connections are remembered, from their next packet on.
    pub fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), Error> {
        let message = Message::Command(Command::SetConfig, encode_timeouts(timeouts));
        self.command(message).map_err(|fault| fault.during("setting the timeouts of IPVS"))
    }

    /// The synchronisation daemons that run.
    pub fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Error> {
        self.try_daemons().map_err(|fault| fault.during("reading the synchronisation daemons of IPVS"))
    }

    fn try_daemons(&mut self) -> Result<Vec<SyncDaemon>, Fault> {
        let question = Message::Command(Command::GetDaemon, Vec::new());
        let answers = self.list(question, self.deadline())?;
        let daemons = answers.into_iter().flat_map(attributes).filter_map(|attribute| match attribute {
            Attribute::Daemon(daemon) => Some(decode_daemon(daemon.attributes).map_err(malformed)),
            _ => None,
        });
        daemons.collect()
    }

    /// Starts a synchronisation daemon. One that runs as asked for goes on; one that runs otherwise is replaced.
    pub fn start_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), Error> {
        self.try_start_daemon(daemon).map_err(|fault| {
            fault.during(format!(
                "starting the {} synchronisation daemon of IPVS on {}",
                daemon.role, daemon.interface
            ))
        })
    }

    fn try_start_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), Fault> {
        let running = self.try_daemons()?;
        if running.iter().any(|running| daemon.is_met_by(running)) {
            return Ok(());
        }
        if let Some(other) = running.into_iter().find(|running| running.role == daemon.role) {
            self.try_stop_daemon(&other)?;
        }
        self.command(daemon_command(Command::NewDaemon, daemon))
    }

    /// Stops the synchronisation daemon of a role, if one runs.
    pub fn stop_daemon(&mut self, role: SyncRole) -> Result<(), Error> {
        let stop = |it: &mut Self| {
            let running = it.try_daemons()?;
            running
                .iter()
                .filter(|running| running.role == role)
                .try_for_each(|running| it.try_stop_daemon(running))
        };
        stop(self)
            .map_err(|fault| fault.during(format!("stopping the {role} synchronisation daemon of IPVS")))
    }

    fn try_stop_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), Fault> {
        self.command(daemon_command(Command::DelDaemon, daemon))
    }

    /// Resets the statistics of a service and its destinations, or of everything.
    pub fn zero(&mut self, service: Option<&Key>) -> Result<(), Error> {
        let message = match service {
            Some(key) => Message::about_service(Command::Zero, service_key(key)),
            None => Message::Command(Command::Zero, Vec::new()),
        };
        self.command(message).map_err(|fault| fault.during("resetting the statistics of IPVS"))
    }

    fn command(&mut self, message: Message) -> Result<(), Fault> {
        let deadline = self.deadline();
        let answers = self.link.exchange(self.family, vec![message], deadline)?;
        answers.into_iter().collect::<Result<(), Errno>>().map_err(Fault::general)
    }

    fn ask(&mut self, question: Message) -> Result<Message, Fault> {
        let deadline = self.deadline();
        only(self.link.ask(self.family, vec![question], deadline)?).map_err(no_ipvs)
    }

    fn list(&mut self, question: Message, deadline: Instant) -> Result<Vec<Message>, Fault> {
        self.link.dump(self.family, question, deadline).map_err(no_ipvs)
    }

    fn deadline(&self) -> Instant {
        clock::now() + self.timeout
    }
}

fn decode_services(answers: Vec<Message>) -> Result<Table, Fault> {
    let services = answers.into_iter().flat_map(attributes).filter_map(|attribute| match attribute {
        Attribute::Service(service) => Some(decode_service(service.attributes).map_err(malformed)),
        _ => None,
    });
    services.collect()
}

fn daemon_command(command: Command, daemon: &SyncDaemon) -> Message {
    Message::Command(command, vec![Attribute::Daemon(Nested::new(encode_daemon(daemon)))])
}

fn attributes(message: Message) -> Vec<Attribute> {
    match message {
        Message::Command(_, attributes) => attributes,
        Message::Info(_) => Vec::new(),
    }
}

/// A family that nobody has registered is all that these questions do not find.
fn no_ipvs(fault: Fault) -> Fault {
    match fault {
        Fault::Kernel(errno @ Errno::NOENT) => Fault::NoIpvs(errno),
        other => other,
    }
}

/// The answer to a single question.
fn only<M>(answers: Vec<Result<M, Errno>>) -> Result<M, Fault> {
    answers.into_iter().next().unwrap_or(Err(Errno::INTR)).map_err(Fault::general)
}

fn malformed(error: DecodeError) -> Fault {
    Fault::Malformed(error.to_string())
}
