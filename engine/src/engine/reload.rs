//! Another configuration for the engine. What stays as it is, is not looked at.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::{Engine, Place, Subscriber};
use crate::config::{self, Config};
use crate::effects::Effects;
use crate::virtual_server::VirtualServer;

/// What a reload means for a virtual server that there was before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Reloaded,
    Gone,
}

impl Engine {
    /// Takes another configuration. What is known is kept by key: of a virtual server by its name, of a real
    /// server in it by its address, of a check by its key.
    ///
    /// A server that was in service stays so: a check that is new to it is assumed up until it has failed. So
    /// does a pool: where it would lose the quorum, or all traffic, merely because servers have not been
    /// checked yet, these are assumed up until their first outcome, which is believed at once. What appears
    /// for the first time makes no event, unless it is assumed up.
    pub fn reload(&mut self, now: Instant, config: Config) -> Effects {
        self.reload_part(now, config, &BTreeSet::new())
    }

    /// As [`Engine::reload`] does, with only those virtual servers in `config` that may be configured otherwise than
    /// before. Of the others, those named in `kept` stay and the rest goes.
    pub fn reload_part(&mut self, now: Instant, mut config: Config, kept: &BTreeSet<Arc<str>>) -> Effects {
        config.virtual_servers.sort_by(|a, b| a.name.cmp(&b.name));
        let (was, now) = self.advance(now);
        let mut due: Vec<_> = self.due(now).collect();
        let ticked = due.iter().filter(|place| self.view(**place, was) != self.view(**place, now));
        let mut changed: Vec<_> = ticked.map(|place| place.indices().0).collect();

        let fate = |it: &VirtualServer| if kept.contains(&it.name) { Fate::Kept } else { Fate::Gone };
        let mut fates: Vec<_> = self.virtual_servers.iter().map(fate).collect();
        let (mut effects, mut new, mut asked) = (Effects::default(), Vec::new(), Vec::new());
        for mut config in config.virtual_servers {
            config.real_servers.sort_by_key(|server| server.address);
            asked.push((Arc::clone(&config.name), subscribers(&config)));
            let Some(index) = self.position(&config.name) else {
                effects.changed.push(Arc::clone(&config.name));
                new.push(VirtualServer::new(now, config));
                continue;
            };
            let virtual_server = &mut self.virtual_servers[index];
            let desired = virtual_server.desired(was);
            virtual_server.reload(now, config, &mut effects.events);
            fates[index] = Fate::Reloaded;
            if desired != virtual_server.desired(now) {
                effects.changed.push(Arc::clone(&virtual_server.name));
            }
        }
        changed.retain(|index| fates[*index] == Fate::Kept);
        changed.extend((0..fates.len()).filter(|index| fates[*index] == Fate::Gone));
        effects.changed.extend(changed.iter().map(|index| Arc::clone(&self.virtual_servers[*index].name)));
        effects.changed.sort();
        effects.changed.dedup();

        let moved = self.replace(&fates, new);
        self.subscribers.retain_mut(|subscriber| subscriber.place.relocate(&moved));
        due.retain_mut(|place| place.relocate(&moved));
        let timers = std::mem::take(&mut self.timers).into_iter().filter(|(at, _)| *at > now);
        self.timers =
            timers.filter_map(|(at, mut place)| place.relocate(&moved).then_some((at, place))).collect();
        for (name, mut subscribers) in asked {
            let Some(index) = self.position(&name) else { continue };
            due.extend(self.places_of(index));
            subscribers.iter_mut().for_each(|it| it.place.virtual_server = index as u32);
            self.subscribers.append(&mut subscribers);
        }
        let steps = due.iter().filter_map(|place| Some((self.next_step(*place, now)?, *place)));
        self.timers.extend(steps.collect::<Vec<_>>());
        // Most of them are in order, of which this kind of sorting makes use.
        self.subscribers.sort();
        self.subscribers.shrink_to_fit();
        self.watches =
            (0..).zip(&self.virtual_servers).filter_map(|(at, it)| Some((it.blind_at()?, at))).collect();
        effects
    }

    /// Takes out who is gone and puts in who is new, in ascending order of name; where those stand then that are kept.
    fn replace(&mut self, fates: &[Fate], new: Vec<VirtualServer>) -> Vec<Option<usize>> {
        let mut names = new.iter().map(|it| &it.name).peekable();
        let mut moved = Vec::with_capacity(fates.len());
        let mut to = 0;
        for (fate, before) in fates.iter().zip(&self.virtual_servers) {
            while names.next_if(|name| **name < before.name).is_some() {
                to += 1;
            }
            moved.push((*fate == Fate::Kept).then_some(to));
            to += usize::from(*fate != Fate::Gone);
        }
        let mut fates = fates.iter();
        self.virtual_servers.retain(|_| fates.next() != Some(&Fate::Gone));
        self.virtual_servers.extend(new);
        self.virtual_servers.sort_by(|a, b| a.name.cmp(&b.name));
        moved
    }
}

impl Place {
    /// Follows the virtual server to where it has `moved`; false when it does not stay as it was.
    fn relocate(&mut self, moved: &[Option<usize>]) -> bool {
        let to = moved[self.virtual_server as usize];
        self.virtual_server = to.unwrap_or_default() as u32;
        to.is_some()
    }
}

/// Who asks for which probe, in the first place.
fn subscribers(config: &config::VirtualServer) -> Vec<Subscriber> {
    let servers = config.real_servers.iter().enumerate();
    let subscribers = servers.flat_map(|(index, server)| {
        let place = Place::new(0, index);
        server.probes.iter().zip(0..).map(move |(probe, check)| Subscriber { probe: *probe, place, check })
    });
    subscribers.collect()
}
