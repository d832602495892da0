//! One virtual router's state and the steps between states (RFC 9568 §6.4). When they are taken is the group's.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::action::{Action, Reason, State, Transition};
use crate::config::Router;
use crate::packet::Advert;
use crate::status::{Counters, Heard};
use crate::timers::{active_down_interval, resignation, skew_time};
use crate::view::Turn;

pub(crate) struct Member {
    pub(crate) router: Arc<Router>,
    pub(crate) phase: Phase,
    pub(crate) since: Instant,
    /// The effective one.
    pub(crate) priority: u8,
    /// The configuration before a reload that has yet to be told.
    replaced: Option<Arc<Router>>,
    pub(crate) heard: Option<Heard>,
    pub(crate) counters: Counters,
}

/// A state with what is only known and timed in it.
pub(crate) enum Phase {
    Initialize,
    Backup(Backup),
    Active(Active),
    Resigning {
        /// When the successor should have been heard.
        until: Instant,
        then: Then,
    },
}

pub(crate) struct Backup {
    /// Active_Down_Timer.
    pub(crate) down_at: Instant,
    /// Active_Adver_Interval.
    pub(crate) interval: Duration,
    /// Whose adverts hold the timer up.
    pub(crate) following: Option<IpAddr>,
    /// When a lower priority was first heard, without a higher one since.
    pub(crate) lower_since: Option<Instant>,
    /// Has handed over by order: takes nothing back before the successor is gone.
    pub(crate) yields: bool,
}

pub(crate) struct Active {
    /// When the last advert was sent; the Adver_Timer fires an interval later.
    pub(crate) advertised: Instant,
    /// When the addresses are announced next, of the takeover's sequence.
    pub(crate) announce_at: Option<Instant>,
    /// When they are announced because another router may have done so.
    pub(crate) reassert_at: Option<Instant>,
    pub(crate) rival: Option<Rival>,
}

/// Another Active of equal priority.
#[derive(Clone, Copy)]
pub(crate) struct Rival {
    pub(crate) first: Instant,
    pub(crate) last: Instant,
}

/// What comes after a resignation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Stopped or at fault: no part is taken any more.
    Initialize,
    /// The group is not Active any more.
    Backup,
    /// Handed over by order: Backup, which yields, or Active again where nobody took over.
    Retake,
}

/// From when a lower Active is told that it is one to when its announcements are surely out, and ours outdo them.
const REASSERT: Duration = Duration::from_millis(100);

impl Member {
    pub(crate) fn new(router: Arc<Router>, now: Instant) -> Self {
        let priority = router.priority;
        let counters = Counters::default();
        let (phase, replaced, heard) = (Phase::Initialize, None, None);
        Self { router, phase, since: now, priority, replaced, heard, counters }
    }

    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::Initialize => State::Initialize,
            Phase::Backup(_) => State::Backup,
            Phase::Active(_) => State::Active,
            Phase::Resigning { .. } => State::Resigning,
        }
    }

    /// Whether a resignation ends in Initialize.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Resigning { then: Then::Initialize, .. })
    }

    fn enter(&mut self, turn: &mut Turn<'_>, phase: Phase, reason: Reason) {
        let from = self.state();
        self.phase = phase;
        self.since = turn.now;
        self.counters.transitions += 1;
        let router = self.router.name.clone();
        turn.actions.push(Action::Changed(Transition { router, from, to: self.state(), reason }));
    }

    pub(crate) fn initialize(&mut self, turn: &mut Turn<'_>, reason: Reason) {
        self.enter(turn, Phase::Initialize, reason);
    }

    /// Follows nobody yet: whoever is Active will be heard within the active down interval.
    pub(crate) fn back_up(&mut self, turn: &mut Turn<'_>, yields: bool, reason: Reason) {
        let interval = self.router.interval;
        let down_at = turn.now + self.active_down_interval(interval);
        let backup = Backup { down_at, interval, following: None, lower_since: None, yields };
        self.enter(turn, Phase::Backup(backup), reason);
    }

    /// Backup of the router whose advert this is.
    pub(crate) fn back_up_behind(
        &mut self,
        turn: &mut Turn<'_>,
        source: IpAddr,
        advert: &Advert,
        yields: bool,
        reason: Reason,
    ) {
        self.back_up(turn, yields, reason);
        self.follow(turn.now, source, advert);
    }

    /// In Backup: the advert restarts the active down timer, in version 3 with its own interval.
    pub(crate) fn follow(&mut self, now: Instant, source: IpAddr, advert: &Advert) {
        let down = self.active_down_interval(advert.interval);
        if let Phase::Backup(backup) = &mut self.phase {
            backup.following = Some(source);
            backup.interval = advert.interval;
            backup.down_at = now + down;
        }
    }

    /// In Backup: the Active one has resigned, only the skew time is waited for.
    pub(crate) fn hasten(&mut self, now: Instant) {
        let (version, priority) = (self.router.version, self.priority);
        if let Phase::Backup(backup) = &mut self.phase {
            backup.down_at = backup.down_at.min(now + skew_time(version, priority, backup.interval));
            backup.yields = false;
            backup.lower_since = None;
        }
    }

    pub(crate) fn activate(&mut self, turn: &mut Turn<'_>, reason: Reason) {
        let announce = self.router.announce;
        let first = [announce.delay, announce.refresh].into_iter().find(|pause| !pause.is_zero());
        let announce_at = first.map(|pause| turn.now + pause);
        let active = Active { advertised: turn.now, announce_at, reassert_at: None, rival: None };
        self.enter(turn, Phase::Active(active), reason);
    }

    /// Ends being Active with priority 0, and holds the addresses until the successor is heard.
    pub(crate) fn resign(&mut self, turn: &mut Turn<'_>, until: Instant, then: Then, reason: Reason) {
        self.advertise_priority(turn, 0);
        self.fall_silent(turn, until, then, reason);
    }

    /// The same where the successor is Active already and nobody else is to take over.
    pub(crate) fn fall_silent(&mut self, turn: &mut Turn<'_>, until: Instant, then: Then, reason: Reason) {
        self.enter(turn, Phase::Resigning { until, then }, reason);
    }

    /// How long a resignation of this router waits.
    pub(crate) fn resignation(&self) -> Duration {
        resignation(self.router.interval)
    }

    pub(crate) fn advertise(&mut self, turn: &mut Turn<'_>) {
        self.advertise_priority(turn, self.priority);
        if let Phase::Active(active) = &mut self.phase {
            active.advertised = turn.now;
        }
    }

    fn advertise_priority(&mut self, turn: &mut Turn<'_>, priority: u8) {
        let Router { version, router_id, interval, authentication, .. } = *self.router;
        let addresses = self.router.addresses.clone();
        let advert = Advert { version, router_id, priority, interval, addresses, authentication };
        self.counters.sent += 1;
        turn.actions.push(Action::Advertise { router: self.router.clone(), advert });
    }

    pub(crate) fn hold(&self, turn: &mut Turn<'_>) {
        turn.actions.push(Action::Hold { router: self.router.clone() });
    }

    pub(crate) fn announce(&self, turn: &mut Turn<'_>) {
        turn.actions.push(Action::Announce { router: self.router.clone() });
    }

    pub(crate) fn release(&self, turn: &mut Turn<'_>) {
        turn.actions.push(Action::Release { router: self.router.clone() });
    }

    /// As Active, tells another one that it is outranked, and in a moment everybody whose the addresses are.
    pub(crate) fn assert(&mut self, turn: &mut Turn<'_>) {
        self.advertise(turn);
        if let Phase::Active(active) = &mut self.phase {
            active.reassert_at.get_or_insert(turn.now + REASSERT);
        }
    }

    /// As Active, what time asks for.
    pub(crate) fn tick(&mut self, turn: &mut Turn<'_>) {
        let Phase::Active(active) = &mut self.phase else { return };
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= turn.now);
        let announce = is_due(active.announce_at) || is_due(active.reassert_at);
        if is_due(active.announce_at) {
            let refresh = self.router.announce.refresh;
            active.announce_at = (!refresh.is_zero()).then(|| turn.now + refresh);
        }
        if is_due(active.reassert_at) {
            active.reassert_at = None;
        }
        if is_due(Some(active.advertised + self.router.interval)) {
            self.advertise(turn);
        }
        if announce {
            self.announce(turn);
        }
    }

    /// Has the machine slept for so long that others have taken over meanwhile?
    pub(crate) fn stall(&self, now: Instant) -> Option<Duration> {
        let interval = self.router.interval;
        let (sent, latest) = match &self.phase {
            Phase::Active(active) => (active.advertised, active.advertised + 3 * interval),
            Phase::Resigning { until, .. } => (self.since, *until + 2 * interval),
            Phase::Initialize | Phase::Backup(_) => return None,
        };
        (now > latest).then(|| now.saturating_duration_since(sent))
    }

    /// Takes on another configuration of the same identity. What is to be told of it is told by the next update, in
    /// the same call.
    pub(crate) fn reconfigure(&mut self, now: Instant, router: Arc<Router>) {
        let old = std::mem::replace(&mut self.router, router);
        if old == self.router {
            return;
        }
        match &mut self.phase {
            Phase::Backup(backup) => backup.yields &= old.priority == self.router.priority,
            // A shorter interval must not make a stall of the time since the last advert.
            Phase::Active(active) => active.advertised = now,
            Phase::Initialize | Phase::Resigning { .. } => {}
        }
        self.replaced = Some(old);
    }

    /// The effective priority follows what is tracked; an Active one tells at once what has changed.
    pub(crate) fn update(&mut self, turn: &mut Turn<'_>) {
        let priority = turn.view.priority(&self.router);
        let other_priority = std::mem::replace(&mut self.priority, priority) != priority;
        let replaced = self.replaced.take();
        let other_addresses = replaced.as_ref().is_some_and(|old| old.addresses != self.router.addresses);
        let is_active = self.state() == State::Active;
        if is_active && (other_priority || replaced.is_some()) {
            self.advertise(turn);
        }
        if other_addresses && matches!(self.state(), State::Active | State::Resigning) {
            self.hold(turn);
        }
        if other_addresses && is_active {
            self.announce(turn);
        }
    }

    fn active_down_interval(&self, interval: Duration) -> Duration {
        active_down_interval(self.router.version, self.priority, interval)
    }

    /// Active_Down_Interval as of now, of a router that follows nobody.
    pub(crate) fn own_down_interval(&self) -> Duration {
        self.active_down_interval(self.router.interval)
    }

    /// When an Active or Resigning router is to be looked at. A Backup's timer is judged with its group's.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Initialize | Phase::Backup(_) => None,
            Phase::Active(active) => {
                let advert = Some(active.advertised + self.router.interval);
                [advert, active.announce_at, active.reassert_at].into_iter().flatten().min()
            }
            Phase::Resigning { until, .. } => Some(*until),
        }
    }

    pub(crate) fn is_preempting(&self) -> bool {
        self.router.preempt || self.router.priority == u8::MAX
    }
}
