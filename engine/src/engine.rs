//! The engine: keys to places, probes to subscribers, time to ramps.
//!
//! Invariants:
//! - Virtual servers stand in ascending order of name and real servers of address, so that a [`Place`] is
//!   stable between two reloads and the order of places is the order of names.
//! - `timers` is derived: it holds exactly each real server's next step as of `now`. Nothing else in here
//!   depends on it but [`Engine::deadline`] and who is looked at when time passes.
//! - Weights are those of `now`, the time of the last input. Time does not go backwards: an earlier `now` is
//!   taken as the last one.

mod reload;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::effects::{Desired, Destination, Effects, Event};
use crate::input::{Command, Input, Observation, ProbeId};
use crate::overload::{Learned, Traffic};
use crate::status::VirtualServerStatus;
use crate::virtual_server::VirtualServer;

/// The largest weight: what IPVS and the configuration allow.
pub const WEIGHT_MAX: u32 = 65_535;

/// Decides the weight of every real server. See the [crate's documentation](crate).
#[derive(Debug, Default)]
pub struct Engine {
    virtual_servers: Vec<VirtualServer>,
    /// Who is interested in each probe, sorted.
    subscribers: Vec<Subscriber>,
    timers: BTreeSet<(Instant, Place)>,
    /// When each virtual server that is sampled goes blind.
    watches: BTreeSet<(Instant, usize)>,
    /// The time of the last input; none before the first.
    now: Option<Instant>,
}

/// Why a command was not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No virtual server has this name.
    #[error("no virtual server is named \"{0}\"")]
    UnknownVirtualServer(Arc<str>),
    /// The virtual server has no real server with this address.
    #[error("virtual server \"{virtual_server}\" has no real server {real_server}")]
    UnknownRealServer {
        /// Its name.
        virtual_server: Arc<str>,
        /// The address looked for.
        real_server: SocketAddr,
    },
    /// The weight is above [`WEIGHT_MAX`].
    #[error("weight {0} is above {WEIGHT_MAX}")]
    WeightTooLarge(u32),
}

/// A real server by its indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    virtual_server: u32,
    real_server: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subscriber {
    probe: ProbeId,
    place: Place,
    check: u32,
}

impl Engine {
    /// An engine with an empty configuration.
    pub fn new() -> Engine {
        Engine::default()
    }

    /// Takes in what has happened. An observation that nobody waits for is dropped.
    pub fn handle(&mut self, now: Instant, input: Input) -> Effects {
        match input {
            Input::Tick => self.tick(now),
            Input::Traffic(traffic) => self.sample(now, &traffic),
            Input::Observation(seen) => self.observe(now, &seen),
        }
    }

    /// Carries out an operator's command.
    ///
    /// # Errors
    ///
    /// When it names something that does not exist or a weight that is too large; nothing has changed then.
    pub fn command(&mut self, now: Instant, command: Command) -> Result<Effects, CommandError> {
        let place = self.target(&command)?;
        Ok(self.transact(now, vec![place], |virtual_servers, now, events| {
            let (virtual_server, real_server) = place.indices();
            virtual_servers[virtual_server].obey(now, real_server, &command, events);
        }))
    }

    /// What was learned about real servers, to be given to [`Engine::recall`] after a restart.
    pub fn learned(&self) -> Learned {
        Learned { real_servers: self.virtual_servers.iter().flat_map(VirtualServer::learned).collect() }
    }

    /// Takes over what was learned before, for servers of which nothing is known yet. To be called after
    /// [`Engine::reload`]; it shows with the next sample.
    pub fn recall(&mut self, learned: &Learned) {
        for server in &learned.real_servers {
            let Some(index) = self.position(&server.virtual_server) else { continue };
            self.virtual_servers[index].recall(server);
        }
    }

    /// When a weight next changes by itself, or the overload protection has waited in vain for a sample; send
    /// [`Input::Tick`] then. Later than the last input, or already due.
    ///
    /// A tick that comes later does all that is due, so a caller may take several steps as one.
    pub fn deadline(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        timer.into_iter().chain(self.watches.first().map(|(at, _)| *at)).min()
    }

    /// What the dataplane should hold for the virtual server `name` as of the last input.
    pub fn desired(&self, name: &str) -> Option<Desired> {
        let index = self.position(name)?;
        Some(self.virtual_servers[index].desired(self.now?))
    }

    /// The virtual server `name` as of the last input.
    pub fn virtual_server(&self, name: &str) -> Option<VirtualServerStatus<'_>> {
        let index = self.position(name)?;
        Some(VirtualServerStatus::new(&self.virtual_servers[index], self.now?))
    }

    /// Whose check a probe is: the virtual server, the real server and the check's key.
    pub fn askers(&self, probe: ProbeId) -> impl Iterator<Item = (&Arc<str>, SocketAddr, &Arc<str>)> {
        self.interested(probe).map(|subscriber| {
            let (virtual_server, real_server) = subscriber.place.indices();
            let virtual_server = &self.virtual_servers[virtual_server];
            let address = virtual_server.real_servers[real_server].address;
            (&virtual_server.name, address, &virtual_server.checks[subscriber.check as usize].key)
        })
    }

    /// Every virtual server in ascending order of name, as of the last input.
    pub fn status(&self) -> impl Iterator<Item = VirtualServerStatus<'_>> {
        let statuses =
            |now| self.virtual_servers.iter().map(move |server| VirtualServerStatus::new(server, now));
        self.now.into_iter().flat_map(statuses)
    }

    fn tick(&mut self, now: Instant) -> Effects {
        let blind: Vec<_> =
            self.watches.iter().take_while(|(at, _)| *at <= now).map(|(_, index)| *index).collect();
        let places = blind.iter().flat_map(|index| self.places_of(*index)).collect();
        let effects = self.transact(now, places, |virtual_servers, now, events| {
            for index in blind {
                virtual_servers[index].go_blind(now, events);
            }
        });
        self.watches.retain(|(at, _)| *at > now);
        effects
    }

    fn sample(&mut self, now: Instant, traffic: &Traffic) -> Effects {
        let Some(index) = self.position(&traffic.virtual_server) else { return self.tick(now) };
        if let Some(at) = self.virtual_servers[index].blind_at() {
            self.watches.remove(&(at, index));
        }
        let places = self.places_of(index).collect();
        let effects = self.transact(now, places, |virtual_servers, now, events| {
            virtual_servers[index].sample(now, traffic, events);
        });
        self.watches.extend(self.virtual_servers[index].blind_at().map(|at| (at, index)));
        effects
    }

    fn places_of(&self, virtual_server: usize) -> impl Iterator<Item = Place> + use<> {
        let count = self.virtual_servers[virtual_server].real_servers.len();
        (0..count).map(move |real_server| Place::new(virtual_server, real_server))
    }

    /// Whose timers have run out, in the order of time.
    fn due(&self, now: Instant) -> impl Iterator<Item = Place> {
        self.timers.iter().take_while(move |(at, _)| *at <= now).map(|(_, place)| *place)
    }

    fn interested(&self, probe: ProbeId) -> impl Iterator<Item = &Subscriber> {
        let from = self.subscribers.partition_point(|subscriber| subscriber.probe < probe);
        self.subscribers[from..].iter().take_while(move |subscriber| subscriber.probe == probe)
    }

    fn observe(&mut self, now: Instant, seen: &Observation) -> Effects {
        let interested: Vec<_> = self.interested(seen.probe).copied().collect();
        let places = interested.iter().map(|subscriber| subscriber.place).collect();
        self.transact(now, places, |virtual_servers, now, events| {
            for subscriber in interested {
                let (virtual_server, real_server) = subscriber.place.indices();
                let check = subscriber.check as usize;
                virtual_servers[virtual_server].observe(now, real_server, check, seen, events);
            }
        })
    }

    fn target(&self, command: &Command) -> Result<Place, CommandError> {
        if let Command::Weight { weight, .. } = command
            && *weight > WEIGHT_MAX
        {
            return Err(CommandError::WeightTooLarge(*weight));
        }
        let (name, address) = command.target();
        let virtual_server =
            self.position(name).ok_or_else(|| CommandError::UnknownVirtualServer(name.clone()))?;
        let real_server = self.virtual_servers[virtual_server].position(address).ok_or_else(|| {
            CommandError::UnknownRealServer { virtual_server: name.clone(), real_server: address }
        })?;
        Ok(Place::new(virtual_server, real_server))
    }

    /// Applies a change to the real servers at `places`, and the passing of time to those whose timers are
    /// due; no other weight can change, so that only these are compared with what they were.
    fn transact(
        &mut self,
        now: Instant,
        mut places: Vec<Place>,
        apply: impl FnOnce(&mut [VirtualServer], Instant, &mut Vec<Event>),
    ) -> Effects {
        let (was, now) = self.advance(now);
        places.extend(self.due(now));
        places.sort_unstable();
        for place in &places {
            if let Some(at) = self.next_step(*place, was) {
                self.timers.remove(&(at, *place));
            }
        }
        let before: Vec<_> = places.iter().map(|place| self.view(*place, was)).collect();
        let mut effects = Effects::default();
        apply(&mut self.virtual_servers, now, &mut effects.events);
        for (place, before) in places.iter().zip(before) {
            self.timers.extend(self.next_step(*place, now).map(|at| (at, *place)));
            if self.view(*place, now) != before {
                effects.changed.push(self.virtual_servers[place.indices().0].name.clone());
            }
        }
        effects.changed.dedup();
        effects
    }

    /// The time of the input before this one, and of this one.
    fn advance(&mut self, now: Instant) -> (Instant, Instant) {
        let was = self.now.unwrap_or(now);
        let now = now.max(was);
        self.now = Some(now);
        (was, now)
    }

    /// What a change at `place` can change in the virtual server's desired state.
    fn view(&self, place: Place, now: Instant) -> (Destination, Option<Destination>) {
        let (virtual_server, real_server) = place.indices();
        let virtual_server = &self.virtual_servers[virtual_server];
        (virtual_server.destination(real_server, now), virtual_server.stand_in())
    }

    fn next_step(&self, place: Place, now: Instant) -> Option<Instant> {
        let (virtual_server, real_server) = place.indices();
        let virtual_server = &self.virtual_servers[virtual_server];
        virtual_server.real_servers[real_server].next_step(now, virtual_server.slow_start)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.virtual_servers.binary_search_by(|server| (*server.name).cmp(name)).ok()
    }
}

#[cfg(test)]
impl Engine {
    /// All timers, from scratch.
    fn next_steps(&self, now: Instant) -> BTreeSet<(Instant, Place)> {
        let pools = self.virtual_servers.iter().enumerate();
        pools
            .flat_map(|(index, server)| {
                (0..server.real_servers.len()).map(move |real| Place::new(index, real))
            })
            .filter_map(|place| self.next_step(place, now).map(|at| (at, place)))
            .collect()
    }

    /// Whether the timers are what a look at every real server gives.
    pub(crate) fn timers_agree(&self) -> bool {
        self.now.is_none_or(|now| self.timers == self.next_steps(now))
    }
}

impl Place {
    fn new(virtual_server: usize, real_server: usize) -> Place {
        Place { virtual_server: virtual_server as u32, real_server: real_server as u32 }
    }

    fn indices(self) -> (usize, usize) {
        (self.virtual_server as usize, self.real_server as usize)
    }
}
