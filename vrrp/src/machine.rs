//! All virtual routers of a director.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::action::{Action, Reason};
use crate::config::{Config, Family, Router};
use crate::group::Group;
use crate::input::{Input, Received, Tracked};
use crate::member::Member;
use crate::packet;
use crate::receive;
use crate::status::RouterStatus;
use crate::view::{Link, Turn, View};

/// All virtual routers of a director: a pure machine.
///
/// Whoever drives it hands over what happened together with the time, does what it returns in that order, and comes
/// back with [`Input::Tick`] at the deadline. What was received goes first: a machine that was stopped for a while
/// has to hear what happened meanwhile before it is told that time has passed.
pub struct Machine {
    now: Instant,
    groups: Vec<Group>,
    /// Groups of one that are not configured any more, but hold their addresses until they are succeeded.
    leaving: Vec<Group>,
    links: BTreeMap<Arc<str>, Link>,
    tracks: BTreeMap<Arc<str>, Tracked>,
    stopping: bool,
    unknown: u64,
}

impl Machine {
    /// Without virtual routers.
    pub fn new(now: Instant) -> Self {
        let (links, tracks) = (BTreeMap::new(), BTreeMap::new());
        Self { now, groups: Vec::new(), leaving: Vec::new(), links, tracks, stopping: false, unknown: 0 }
    }

    /// Takes on another configuration. What keeps its identity keeps its state; what has lost it resigns, and
    /// whoever takes its name or its router id starts once it has let go.
    #[must_use]
    pub fn reload(&mut self, now: Instant, config: Config) -> Vec<Action> {
        let mut actions = self.turn(now, |_| true, |_, _| {});
        self.regroup(config);
        actions.extend(self.turn(now, |_| true, |_, _| {}));
        actions
    }

    /// What follows from something that happened.
    #[must_use]
    pub fn handle(&mut self, now: Instant, input: Input<'_>) -> Vec<Action> {
        match input {
            Input::Tick { heard } => {
                let is_due = |group: &Group| group.deadline().is_some_and(|deadline| deadline <= now);
                self.turn(now, is_due, |group, turn| group.tick(turn, heard))
            }
            Input::Received(received) => self.receive(now, &received),
            Input::Link { interface, up, sources } => {
                self.links.insert(interface, Link { up, sources });
                self.turn(now, |_| true, |_, _| {})
            }
            Input::Track { key, state } => {
                self.tracks.insert(key, state);
                self.turn(now, |_| true, |_, _| {})
            }
            Input::Stop => {
                self.stopping = true;
                self.turn(now, |_| true, |group, _| group.leaving = Some(Reason::Stop))
            }
        }
    }

    /// An operator wants the other director to take over the router or the group of this name. The error says why
    /// that cannot be. When nobody takes over, the router is Active again after four of its intervals; otherwise it
    /// leaves the addresses to its successor, whatever the priorities, until that falls silent or resigns, or a
    /// reload changes this router's priority.
    pub fn failover(&mut self, now: Instant, name: &str) -> Result<Vec<Action>, String> {
        let named = |group: &Group| group.is_named(name);
        if !self.groups.iter().any(named) {
            return Err(format!("no virtual router and no group is called {name:?}"));
        }
        self.groups.iter().filter(|group| named(group)).try_for_each(|group| group.check_failover(now))?;
        Ok(self.turn(now, named, Group::fail_over))
    }

    /// When the machine has to be told that time has passed.
    pub fn deadline(&self) -> Option<Instant> {
        self.groups.iter().chain(&self.leaving).filter_map(Group::deadline).min()
    }

    /// After [`Input::Stop`]: every router has let go.
    pub fn is_idle(&self) -> bool {
        self.stopping && self.leaving.is_empty() && self.groups.iter().all(Group::has_let_go)
    }

    /// Every virtual router, sorted by name; one that is leaving after one that has taken its name.
    pub fn status(&self) -> impl Iterator<Item = RouterStatus> {
        let view = View { links: &self.links, tracks: &self.tracks, leaving: &self.leaving };
        let mut all: Vec<_> = self
            .groups
            .iter()
            .chain(&self.leaving)
            .flat_map(|group| group.members.iter().map(move |member| RouterStatus::of(member, group, view)))
            .collect();
        all.sort_by(|one, other| one.router.name.cmp(&other.router.name));
        all.into_iter()
    }

    /// Packets for no virtual router here: another VRID, interface or family, or too short to have a VRID.
    pub fn unknown_router_ids(&self) -> u64 {
        self.unknown
    }

    fn receive(&mut self, now: Instant, received: &Received<'_>) -> Vec<Action> {
        let Received { source, message, .. } = *received;
        if self.links.get(received.interface).is_some_and(|link| link.sources.contains(&source)) {
            return Vec::new();
        }
        let (router_id, family) = (packet::router_id(message), Family::of(source));
        let is_meant = |router: &Router| {
            Some(router.router_id) == router_id
                && router.family == family
                && *router.interface == *received.interface
        };
        let mut unknown = true;
        let meant = |group: &Group| group.members.iter().any(|member| is_meant(&member.router));
        let actions = self.turn(now, meant, |group, turn| {
            unknown = false;
            for index in 0..group.members.len() {
                let member = &mut group.members[index];
                if !is_meant(&member.router) || member.router.source == Some(source) {
                    continue;
                }
                match receive::check(&member.router, received) {
                    Ok(advert) => group.hear(turn, index, source, &advert),
                    Err(refusal) => member.counters.refuse(turn.now, source, refusal),
                }
            }
        });
        self.unknown += u64::from(unknown);
        actions
    }

    /// One call: what happens to the groups that it concerns, and what follows from that for others.
    fn turn(
        &mut self,
        now: Instant,
        concerns: impl Fn(&Group) -> bool,
        mut happens: impl FnMut(&mut Group, &mut Turn<'_>),
    ) -> Vec<Action> {
        self.now = self.now.max(now);
        let mut actions = Vec::new();
        let mut step = |group: &mut Group, leaving: &[Group]| {
            let view = View { links: &self.links, tracks: &self.tracks, leaving };
            let turn = &mut Turn { now: self.now, view, actions: &mut actions };
            group.notice_stall(turn);
            if concerns(group) {
                happens(group, turn);
            }
            group.settle(turn);
        };
        self.leaving.iter_mut().filter(|group| concerns(group)).for_each(|group| step(group, &[]));
        let before = self.leaving.len();
        self.leaving.retain(|group| !group.has_let_go());
        let others_may_start = self.leaving.len() < before;
        for group in &mut self.groups {
            if others_may_start || concerns(group) {
                step(group, &self.leaving);
            }
        }
        actions
    }

    /// Finds the routers of a configuration among those there are.
    fn regroup(&mut self, config: Config) {
        let members = std::mem::take(&mut self.groups).into_iter().flat_map(|group| group.members);
        let mut known: BTreeMap<_, _> = members.map(|member| (member.router.name.clone(), member)).collect();
        let mut groups: BTreeMap<_, Vec<Member>> = BTreeMap::new();
        let mut gone = Vec::new();
        let leaves = self.stopping.then_some(Reason::Stop);
        let tracked: BTreeSet<_> =
            config.routers.iter().flat_map(|router| &router.tracks).map(|track| track.key.clone()).collect();
        self.tracks.retain(|key, _| tracked.contains(key));
        for router in config.routers {
            // A router that is in no group stands alone, even if a group is called as it is.
            let key = (router.group.is_some(), router.group.as_ref().unwrap_or(&router.name).clone());
            let mut member = match known.remove(&router.name) {
                Some(member) if is_same(&member.router, &router) => member,
                other => {
                    gone.extend(other);
                    Member::new(router.clone(), self.now)
                }
            };
            member.reconfigure(self.now, router);
            groups.entry(key).or_default().push(member);
        }
        gone.extend(known.into_values());
        self.groups = groups.into_values().map(|members| Group::new(members, leaves.clone())).collect();
        let leave = |member| Group::new(vec![member], Some(Reason::Reconfigured));
        self.leaving.extend(gone.into_iter().map(leave));
    }
}

/// Whether a virtual router is still the same one.
fn is_same(one: &Router, other: &Router) -> bool {
    one.is_heard_as(other) && one.version == other.version
}
