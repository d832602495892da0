//! A simulated director, and what has to hold of every call of its machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_vrrp::config::Router;
use tidegate_vrrp::{Action, Machine, Reason, State, Tracked};

use super::world::Packet;

pub(super) struct Director {
    pub(super) machine: Machine,
    /// Off: it neither hears nor says anything, and holds nothing.
    pub(super) on: bool,
    /// Ordered to stop.
    pub(super) stopping: bool,
    /// Its clock stands still, and packets wait.
    pub(super) asleep: bool,
    pub(super) inbox: Vec<Packet>,
    pub(super) links: BTreeMap<Arc<str>, bool>,
    /// What it is configured with.
    pub(super) routers: Vec<Router>,
    pub(super) is_faulty: bool,
    /// The tick that is under way.
    pub(super) scheduled: Option<Instant>,
    pub(super) held: BTreeSet<Arc<str>>,
    states: BTreeMap<Arc<str>, State>,
    advertised: BTreeMap<Arc<str>, (Instant, Duration)>,
}

impl Director {
    pub(super) fn off(now: Instant) -> Self {
        Self {
            machine: Machine::new(now),
            on: false,
            stopping: false,
            asleep: false,
            inbox: Vec::new(),
            links: BTreeMap::new(),
            routers: Vec::new(),
            is_faulty: false,
            scheduled: None,
            held: BTreeSet::new(),
            states: BTreeMap::new(),
            advertised: BTreeMap::new(),
        }
    }

    pub(super) fn state(&self, router: &str) -> State {
        self.states.get(router).copied().unwrap_or(State::Initialize)
    }

    /// Whether it could be Active for all of these.
    pub(super) fn is_eligible(&self, group: &[&Router]) -> bool {
        let is_up = |router: &&Router| self.links.get(&router.interface) == Some(&true);
        self.on && !self.stopping && !self.is_faulty && group.iter().all(is_up)
    }

    /// Does what a call has returned, and asserts what has to hold of it.
    pub(super) fn perform(&mut self, now: Instant, actions: &[Action]) {
        self.check_stall(now, actions);
        for (at, action) in actions.iter().enumerate() {
            match action {
                Action::Advertise { router, advert } if advert.priority == 0 => {
                    assert!(
                        matches!(actions.get(at + 1), Some(Action::Changed(change))
                            if change.router == router.name && change.to == State::Resigning),
                        "priority 0 is for those who resign: {actions:?}"
                    );
                    self.advertised.insert(router.name.clone(), (now, router.interval));
                }
                Action::Advertise { router, .. } => {
                    self.advertised.insert(router.name.clone(), (now, router.interval));
                }
                Action::Hold { router } => drop(self.held.insert(router.name.clone())),
                Action::Release { router } => {
                    assert!(self.held.remove(&router.name), "{} released, but not held", router.name);
                }
                Action::Announce { router } => {
                    assert!(self.held.contains(&router.name), "{} announced, but not held", router.name);
                }
                Action::Changed(change) => {
                    assert_eq!(change.from, self.state(&change.router), "{change:?}");
                    self.states.insert(change.router.clone(), change.to);
                    if change.to == State::Active {
                        check_takeover(&change.router, &actions[..at]);
                    }
                    if let Reason::Stalled { gap } = change.reason {
                        assert!(gap > self.advertised[&change.router].1 * 3, "{change:?}");
                    }
                }
            }
        }
        for (router, &state) in &self.states {
            let holds = matches!(state, State::Active | State::Resigning);
            assert_eq!(holds, self.held.contains(router), "{router} is {state}: {actions:?}");
        }
        let spoke_out_of_turn = actions.iter().find(|action| {
            matches!(action, Action::Advertise { router, advert }
                if advert.priority > 0 && self.state(&router.name) != State::Active)
        });
        assert_eq!(spoke_out_of_turn, None);
    }

    /// Who was Active and has slept through three intervals lets go before saying anything.
    fn check_stall(&self, now: Instant, actions: &[Action]) {
        let mut seen = BTreeSet::new();
        for action in actions {
            let name = subject(action);
            let Some(&(last, interval)) = self.advertised.get(name) else { continue };
            if seen.insert(name.clone()) && self.state(name) == State::Active && now > last + 3 * interval {
                assert!(matches!(action, Action::Release { .. }), "{actions:?}");
            }
        }
    }

    /// What is seen of it through its status is what it has said of itself; who takes part knows all that is tracked.
    pub(super) fn check_status(&self) {
        for status in self.machine.status().filter(|status| status.state != State::Initialize) {
            assert_eq!(status.state, self.state(&status.router.name), "{status:?}");
            assert!(status.tracks.iter().all(|track| track.state != Tracked::Unknown), "{status:?}");
        }
    }
}

fn subject(action: &Action) -> &Arc<str> {
    match action {
        Action::Advertise { router, .. }
        | Action::Hold { router }
        | Action::Announce { router }
        | Action::Release { router } => &router.name,
        Action::Changed(change) => &change.router,
    }
}

/// Advertised, held and announced, in this order and just before.
fn check_takeover(name: &Arc<str>, before: &[Action]) {
    let of_this = before.iter().rev().filter(|action| subject(action) == name);
    let mut last: Vec<_> = of_this.take(3).collect();
    last.reverse();
    assert!(
        matches!(last[..], [Action::Advertise { .. }, Action::Hold { .. }, Action::Announce { .. }]),
        "{last:?}"
    );
}
