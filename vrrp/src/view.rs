//! What a machine knows beyond its virtual routers: links, tracks, and who has to let go first.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::action::{Action, Reason};
use crate::config::{Effect, Family, Router, Track};
use crate::group::Group;
use crate::input::Tracked;
use crate::status::Obstacle;

/// As [`crate::Input::Link`] told.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) up: bool,
    pub(crate) sources: Vec<IpAddr>,
}

/// The world around a group.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) links: &'a BTreeMap<Arc<str>, Link>,
    pub(crate) tracks: &'a BTreeMap<Arc<str>, Tracked>,
    /// Virtual routers that are no longer configured, but still hold their addresses.
    pub(crate) leaving: &'a [Group],
}

/// One call of the machine.
pub(crate) struct Turn<'a> {
    pub(crate) now: Instant,
    pub(crate) view: View<'a>,
    pub(crate) actions: &'a mut Vec<Action>,
}

impl View<'_> {
    /// Where a router's adverts come from. None: it cannot send any.
    pub(crate) fn source(&self, router: &Router) -> Option<IpAddr> {
        let link = self.links.get(&router.interface).filter(|link| link.up)?;
        let first = link.sources.iter().copied().find(|&source| Family::of(source) == router.family)?;
        Some(router.source.unwrap_or(first))
    }

    pub(crate) fn tracked(&self, track: &Track) -> Tracked {
        self.tracks.get(&track.key).copied().unwrap_or_default()
    }

    /// What a track adds to the priority now.
    pub(crate) fn adds(&self, track: &Track) -> i64 {
        let Effect::Weight(weight) = track.effect else { return 0 };
        let weight = i64::from(weight);
        match self.tracked(track) {
            Tracked::Up | Tracked::Unknown => weight.max(0),
            Tracked::Down => weight.min(0),
            Tracked::Number(number) => i64::from(number) * weight,
        }
    }

    /// The priority that the adverts say.
    pub(crate) fn priority(&self, router: &Router) -> u8 {
        if router.priority == u8::MAX {
            return u8::MAX;
        }
        let added: i64 = router.tracks.iter().map(|track| self.adds(track)).sum();
        (i64::from(router.priority) + added).clamp(1, 254) as u8
    }

    /// What is in the way of a router that would start. Some of it is a fault, which stops a running one too.
    pub(crate) fn obstacle(&self, router: &Router) -> Option<Obstacle> {
        let Some(link) = self.links.get(&router.interface) else { return Some(Obstacle::LinkUnknown) };
        if !link.up {
            return Some(Obstacle::LinkDown);
        }
        if self.source(router).is_none() {
            return Some(Obstacle::NoSource);
        }
        let mut unknown = None;
        for track in &router.tracks {
            match (self.tracked(track), track.effect) {
                // What is only a weight is waited for as well: with too high a priority a router would take the
                // addresses from a sound director, to lose them to it at the verdict.
                (Tracked::Unknown, _) => {
                    unknown = unknown.or_else(|| Some(Obstacle::TrackUnknown(track.key.clone())));
                }
                (Tracked::Up | Tracked::Number(0), _) | (_, Effect::Weight(_)) => {}
                (Tracked::Down | Tracked::Number(_), Effect::Fault) => {
                    return Some(Obstacle::TrackDown(track.key.clone()));
                }
            }
        }
        let leaving = self.leaving.iter().flat_map(|group| &group.members);
        unknown.or_else(|| {
            leaving
                .map(|member| &member.router)
                .find(|other| other.name == router.name || other.is_heard_as(router))
                .map(|other| Obstacle::Predecessor(other.name.clone()))
        })
    }

    /// What stops a router that runs.
    pub(crate) fn fault(&self, router: &Router) -> Option<Reason> {
        match self.obstacle(router)? {
            Obstacle::LinkDown | Obstacle::NoSource => Some(Reason::Link),
            Obstacle::TrackDown(track) => Some(Reason::Fault { track }),
            _ => None,
        }
    }
}
