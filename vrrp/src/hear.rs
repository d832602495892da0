//! What an advert does to a virtual router and its group (RFC 9568 §6.4.2 and §6.4.3, RFC 3768 §6.4.2 and §6.4.3).

use std::cmp::Ordering;
use std::net::IpAddr;
use std::time::Instant;

use crate::action::Reason;
use crate::group::Group;
use crate::member::{Member, Phase, Rival, Then};
use crate::packet::Advert;
use crate::status::Heard;
use crate::view::Turn;

impl Group {
    /// An advert of another router for the member of this index.
    pub(crate) fn hear(&mut self, turn: &mut Turn<'_>, index: usize, source: IpAddr, advert: &Advert) {
        let member = &mut self.members[index];
        member.counters.received += 1;
        member.counters.other_addresses += u64::from(advert.addresses != member.router.addresses);
        let Advert { priority, interval, .. } = *advert;
        member.heard = Some(Heard { source, priority, interval, at: turn.now });
        match member.phase {
            Phase::Initialize => {}
            Phase::Backup(_) if priority == 0 => self.hear_resignation(turn.now, index, source),
            Phase::Backup(_) => member.hear_in_backup(turn.now, source, advert),
            Phase::Active(_) => self.hear_in_active(turn, index, source, advert),
            Phase::Resigning { .. } if priority == 0 => {}
            Phase::Resigning { then, .. } => {
                let reason = Reason::Succeeded { by: source };
                member.release(turn);
                match then {
                    Then::Initialize => member.initialize(turn, reason),
                    Then::Backup => member.back_up_behind(turn, source, advert, false, reason),
                    Then::Retake => member.back_up_behind(turn, source, advert, true, reason),
                }
            }
        }
    }

    fn hear_in_active(&mut self, turn: &mut Turn<'_>, index: usize, source: IpAddr, advert: &Advert) {
        let priority = advert.priority;
        let rank = self.rank(turn, index, source, priority);
        let member = &mut self.members[index];
        match rank {
            _ if priority == 0 => member.advertise(turn),
            Rank::Lower => member.assert(turn),
            Rank::Open => {}
            Rank::Higher => {
                member.release(turn);
                let reason = Reason::Outranked { by: source, priority };
                member.back_up_behind(turn, source, advert, false, reason);
            }
        }
    }

    /// The Active one of a member has resigned, and so have those of the others: a director whose link has broken
    /// cannot say so there. The resignation of a router that is not followed says nothing about the Active one.
    fn hear_resignation(&mut self, now: Instant, index: usize, source: IpAddr) {
        let Phase::Backup(backup) = &self.members[index].phase else { return };
        if backup.following.is_none_or(|followed| followed == source) {
            self.members.iter_mut().for_each(|member| member.hasten(now));
        }
    }

    /// Equal priorities are decided by the higher address, which in a group may contradict itself from member to
    /// member, so that both directors would resign for ever. There the most senior member decides that hears
    /// such a rival; the others give it time for that.
    fn rank(&mut self, turn: &Turn<'_>, index: usize, source: IpAddr, priority: u8) -> Rank {
        let member = &mut self.members[index];
        match priority.cmp(&member.priority) {
            Ordering::Less => return Rank::Lower,
            Ordering::Greater => return Rank::Higher,
            Ordering::Equal => {}
        }
        let contact = member.meet_rival(turn.now);
        if turn.view.source(&member.router).is_some_and(|own| own > source) {
            return Rank::Lower;
        }
        let is_silent = |senior: &Member| {
            let time = senior.own_down_interval();
            senior.rival(turn.now).is_none() && contact.last - contact.first > time
        };
        if self.members[..index].iter().all(is_silent) { Rank::Higher } else { Rank::Open }
    }
}

/// Of another Active, compared with the own one.
enum Rank {
    Lower,
    /// Another member of the group decides.
    Open,
    Higher,
}

impl Member {
    fn hear_in_backup(&mut self, now: Instant, source: IpAddr, advert: &Advert) {
        let (priority, preempts) = (self.priority, self.is_preempting());
        let delay = self.router.preempt_delay;
        let Phase::Backup(backup) = &mut self.phase else { return };
        let let_be = if advert.priority >= priority {
            backup.lower_since = None;
            true
        } else {
            let since = *backup.lower_since.get_or_insert(now);
            !preempts || backup.yields || now < since + delay
        };
        if let_be {
            self.follow(now, source, advert);
        }
    }

    /// Another Active of equal priority is heard, maybe not for the first time.
    fn meet_rival(&mut self, now: Instant) -> Rival {
        let first = self.rival(now).map_or(now, |rival| rival.first);
        let rival = Rival { first, last: now };
        if let Phase::Active(active) = &mut self.phase {
            active.rival = Some(rival);
        }
        rival
    }

    fn rival(&self, now: Instant) -> Option<Rival> {
        let Phase::Active(active) = &self.phase else { return None };
        active.rival.filter(|rival| now - rival.last <= self.own_down_interval())
    }
}
