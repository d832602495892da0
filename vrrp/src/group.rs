//! Virtual routers that are Active together or not at all. One that is in no group is a group of its own.
//!
//! - What is a fault of one is a fault of all: those that are Active resign.
//! - The group becomes Active when no member hears an Active that it would follow, all at once; were it enough that
//!   one hears nothing, a group would go to and fro where only some of its links are cut.
//! - When one is outranked, the others resign.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::action::{Reason, State};
use crate::member::{Member, Phase, Then};
use crate::view::Turn;

pub(crate) struct Group {
    /// The most senior one first: on all directors the same, whatever the interfaces are called.
    pub(crate) members: Vec<Member>,
    /// Why it ends, if it does.
    pub(crate) leaving: Option<Reason>,
}

impl Group {
    pub(crate) fn new(mut members: Vec<Member>, leaving: Option<Reason>) -> Self {
        members.sort_by(|one, other| {
            let rank = |member: &Member| (member.router.router_id, member.router.family);
            rank(one).cmp(&rank(other)).then_with(|| one.router.addresses.cmp(&other.router.addresses))
        });
        Self { members, leaving }
    }

    pub(crate) fn is_named(&self, name: &str) -> bool {
        let is = |other: &Arc<str>| **other == *name;
        self.members
            .iter()
            .any(|member| is(&member.router.name) || member.router.group.as_ref().is_some_and(is))
    }

    /// Whether it takes no part.
    pub(crate) fn has_let_go(&self) -> bool {
        self.members.iter().all(|member| member.state() == State::Initialize)
    }

    /// When time alone moves the group.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.members.iter().filter_map(Member::deadline).chain(self.silent_at()).min()
    }

    /// When the last active down timer fires, and nobody resigns any more who will not be Active with the others.
    pub(crate) fn silent_at(&self) -> Option<Instant> {
        let timers = self.members.iter().filter_map(|member| match &member.phase {
            Phase::Backup(backup) => Some(backup.down_at),
            Phase::Resigning { until, then: Then::Initialize } => Some(*until),
            _ => None,
        });
        timers.max()
    }

    /// Before anything else: a machine that was stopped for longer than others wait is not Active any more.
    pub(crate) fn notice_stall(&mut self, turn: &mut Turn<'_>) {
        let mut stalled = false;
        for member in &mut self.members {
            let Some(gap) = member.stall(turn.now) else { continue };
            let reason = Reason::Stalled { gap };
            stalled = true;
            member.release(turn);
            if member.is_ending() {
                member.initialize(turn, reason);
            } else {
                member.back_up(turn, false, reason);
            }
        }
        if stalled {
            self.stay_together(turn);
        }
    }

    /// What time asks for. Silence is judged as of `heard`: until then everything that was received was told.
    pub(crate) fn tick(&mut self, turn: &mut Turn<'_>, heard: Instant) {
        self.end_resignations(turn, heard);
        if self.silent_at().is_some_and(|at| at <= heard) {
            let stands_by = |member: &Member| match member.phase {
                Phase::Backup(_) | Phase::Resigning { .. } => !member.is_ending(),
                Phase::Initialize | Phase::Active(_) => false,
            };
            self.activate(turn, stands_by, &Reason::Silence);
        }
        self.members.iter_mut().for_each(|member| member.tick(turn));
    }

    /// Why the group cannot be handed over to another director, if it cannot.
    pub(crate) fn check_failover(&self, now: Instant) -> Result<(), String> {
        for member in &self.members {
            let (name, state) = (&member.router.name, member.state());
            if state != State::Active {
                return Err(format!("{name} is {state}: only an active router can hand over"));
            }
            if let Some(gap) = member.stall(now) {
                return Err(format!("{name} was stopped for {gap:?} and is not active any more"));
            }
            if member.priority == u8::MAX {
                return Err(format!("{name} owns its addresses (priority 255) and keeps them"));
            }
        }
        Ok(())
    }

    /// Hands over to another director, if there is one.
    pub(crate) fn fail_over(&mut self, turn: &mut Turn<'_>) {
        self.end_active(turn, Member::resign, Then::Retake, &Reason::Failover);
    }

    /// After anything else: what has to be so among the members, and what may start.
    pub(crate) fn settle(&mut self, turn: &mut Turn<'_>) {
        let stands_down = self.stand_down(turn);
        if !stands_down {
            self.stay_together(turn);
        }
        self.members.iter_mut().for_each(|member| member.update(turn));
        if !stands_down {
            self.start(turn);
        }
    }

    /// Ends taking part where the group leaves or a member is at fault.
    fn stand_down(&mut self, turn: &mut Turn<'_>) -> bool {
        let view = turn.view;
        let faulty = self.members.iter().find(|member| view.fault(&member.router).is_some());
        let faulty = faulty.map(|member| member.router.name.clone());
        let others = match (&self.leaving, faulty) {
            (Some(leaving), _) => leaving.clone(),
            (None, Some(router)) => Reason::Group { router },
            (None, None) => return false,
        };
        let until = turn.now + self.resignation();
        for member in &mut self.members {
            let own = view.fault(&member.router).filter(|_| self.leaving.is_none());
            let reason = own.unwrap_or_else(|| others.clone());
            let can_send = view.source(&member.router).is_some();
            match &mut member.phase {
                Phase::Initialize => {}
                Phase::Backup(_) => member.initialize(turn, reason),
                Phase::Active(_) if can_send => member.resign(turn, until, Then::Initialize, reason),
                Phase::Resigning { then, .. } if can_send => *then = Then::Initialize,
                Phase::Active(_) | Phase::Resigning { .. } => {
                    member.release(turn);
                    member.initialize(turn, reason);
                }
            }
        }
        true
    }

    /// Active together or not at all. Who has outranked one member is Active for the others as well.
    fn stay_together(&mut self, turn: &mut Turn<'_>) {
        let apart = |member: &&Member| matches!(member.state(), State::Backup | State::Resigning);
        let Some(router) = self.members.iter().find(apart).map(|member| member.router.name.clone()) else {
            return;
        };
        let follows =
            |member: &Member| matches!(&member.phase, Phase::Backup(backup) if backup.following.is_some());
        let leave = if self.members.iter().any(follows) { Member::fall_silent } else { Member::resign };
        self.end_active(turn, leave, Then::Backup, &Reason::Group { router });
    }

    /// Starts what can, the whole group together; who comes later joins.
    fn start(&mut self, turn: &mut Turn<'_>) {
        let view = turn.view;
        let waits = |member: &Member| member.state() == State::Initialize;
        let is_ready = |member: &Member| waits(member) && view.obstacle(&member.router).is_none();
        let runs = self.members.iter().any(|member| !waits(member) && !member.is_ending());
        if !runs && !self.members.iter().all(is_ready) {
            return;
        }
        if let Some(active) = self.members.iter().find(|member| member.state() == State::Active) {
            let reason = Reason::Group { router: active.router.name.clone() };
            self.activate(turn, is_ready, &reason);
        } else if !runs && self.members.iter().all(|member| member.priority == u8::MAX) {
            self.activate(turn, is_ready, &Reason::Owner);
        } else {
            for member in self.members.iter_mut().filter(|member| is_ready(member)) {
                member.back_up(turn, false, Reason::Ready);
            }
        }
    }

    /// Nobody was heard after a resignation. An operator's order is taken back then, others are not.
    fn end_resignations(&mut self, turn: &mut Turn<'_>, heard: Instant) {
        let is_over = |member: &Member, what: &[Then]| match member.phase {
            Phase::Resigning { until, then } => until <= heard && what.contains(&then),
            _ => false,
        };
        if self.members.iter().all(|member| is_over(member, &[Then::Retake])) {
            return self.activate(turn, |_| true, &Reason::NoSuccessor);
        }
        for member in &mut self.members {
            if is_over(member, &[Then::Initialize]) {
                member.release(turn);
                member.initialize(turn, Reason::NoSuccessor);
            } else if is_over(member, &[Then::Backup, Then::Retake]) {
                member.release(turn);
                member.back_up(turn, false, Reason::NoSuccessor);
            }
        }
    }

    /// Takes over: first all adverts, then all addresses, then everything else.
    fn activate(&mut self, turn: &mut Turn<'_>, who: impl Fn(&Member) -> bool, reason: &Reason) {
        let mut chosen: Vec<_> = self.members.iter_mut().filter(|member| who(member)).collect();
        chosen.iter_mut().for_each(|member| member.advertise(turn));
        chosen.iter().for_each(|member| member.hold(turn));
        chosen.iter().for_each(|member| member.announce(turn));
        chosen.iter_mut().for_each(|member| member.activate(turn, reason.clone()));
    }

    /// All that are Active leave that state in this way.
    fn end_active(
        &mut self,
        turn: &mut Turn<'_>,
        leave: fn(&mut Member, &mut Turn<'_>, Instant, Then, Reason),
        then: Then,
        reason: &Reason,
    ) {
        let until = turn.now + self.resignation();
        for member in self.members.iter_mut().filter(|member| member.state() == State::Active) {
            leave(member, turn, until, then, reason.clone());
        }
    }

    /// Until the slowest member's successor must have been heard.
    fn resignation(&self) -> Duration {
        self.members.iter().map(Member::resignation).max().unwrap_or_default()
    }
}
