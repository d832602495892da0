//! What a machine shows.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::action::State;
use crate::config::{Effect, Router, Track};
use crate::group::Group;
use crate::input::Tracked;
use crate::member::{Member, Phase};
use crate::receive::Refusal;
use crate::view::View;

/// A virtual router and why it stands where it does.
#[derive(Debug, Clone)]
pub struct RouterStatus {
    /// What it is configured to be.
    pub router: Arc<Router>,
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// When time alone moves it next: the next advert or announcement, the end of the active down interval or of a
    /// resignation.
    pub deadline: Option<Instant>,
    /// The effective priority.
    pub priority: u8,
    /// What makes it differ from the configured one.
    pub tracks: Vec<TrackStatus>,
    /// The other router that was heard last.
    pub heard: Option<Heard>,
    /// It has handed over on an operator's order and leaves the addresses to its successor, whatever the priority.
    pub yields: bool,
    /// It takes no part any more once it has let go: it is not configured any more, or the director stops.
    pub leaving: bool,
    /// What a router that takes no part is waiting for.
    pub obstacle: Option<Obstacle>,
    /// Since it was first configured.
    pub counters: Counters,
}

impl RouterStatus {
    pub(crate) fn of(member: &Member, group: &Group, view: View<'_>) -> Self {
        let router = &member.router;
        let tracks = router.tracks.iter().map(|track| {
            let Track { key, effect } = track;
            TrackStatus {
                key: key.clone(),
                effect: *effect,
                state: view.tracked(track),
                adds: view.adds(track),
            }
        });
        let (deadline, yields) = match &member.phase {
            Phase::Backup(backup) => (Some(backup.down_at), backup.yields),
            _ => (member.deadline(), false),
        };
        let obstacle = || match &group.leaving {
            Some(_) => Some(Obstacle::Stop),
            None => view.obstacle(router).or_else(|| {
                let mut others = group.members.iter().map(|member| &member.router);
                let other = others.find(|other| view.obstacle(other).is_some())?;
                Some(Obstacle::Group(other.name.clone()))
            }),
        };
        Self {
            router: router.clone(),
            state: member.state(),
            since: member.since,
            deadline,
            priority: member.priority,
            tracks: tracks.collect(),
            heard: member.heard,
            yields,
            leaving: group.leaving.is_some(),
            obstacle: (member.state() == State::Initialize).then(obstacle).flatten(),
            counters: member.counters.clone(),
        }
    }
}

/// Something that is tracked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackStatus {
    /// What.
    pub key: Arc<str>,
    /// What follows from it.
    pub effect: Effect,
    /// What it was told to be last.
    pub state: Tracked,
    /// What that adds to the priority, before the sum is held to 1 to 254.
    pub adds: i64,
}

/// Another router's advert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// From whom.
    pub source: IpAddr,
    /// Its priority; 0: it resigned.
    pub priority: u8,
    /// Between its adverts.
    pub interval: Duration,
    /// When.
    pub at: Instant,
}

/// What keeps a router from taking part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Nothing was told about the interface yet.
    LinkUnknown,
    /// The interface is down or has no carrier.
    LinkDown,
    /// The interface has no address of the family to send from.
    NoSource,
    /// Nothing was told about this track yet.
    TrackUnknown(Arc<str>),
    /// This track is down.
    TrackDown(Arc<str>),
    /// A virtual router that is configured no more holds the same name or router id until it has let go.
    Predecessor(Arc<str>),
    /// It could, but this one of its group cannot.
    Group(Arc<str>),
    /// The director stops.
    Stop,
}

/// What has happened to a virtual router so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Adverts sent, to however many peers.
    pub sent: u64,
    /// Adverts of other routers heard, without those refused.
    pub received: u64,
    /// Of those heard: with other addresses than this router's.
    pub other_addresses: u64,
    /// Changes of state.
    pub transitions: u64,
    /// Refused packets by reason.
    pub refused: Refused,
    /// The last refused packet: when, from whom and why.
    pub last_refused: Option<(Instant, IpAddr, Refusal)>,
}

impl Counters {
    pub(crate) fn refuse(&mut self, now: Instant, source: IpAddr, refusal: Refusal) {
        self.refused.0[refusal as usize] += 1;
        self.last_refused = Some((now, source, refusal));
    }
}

/// Refused packets by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused([u64; Refusal::ALL.len()]);

impl Refused {
    /// Every reason and how often it was given, also the ones that never were.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().zip(self.0)
    }

    /// How often for this reason.
    pub fn count(&self, refusal: Refusal) -> u64 {
        self.0[refusal as usize]
    }
}

/// For people: why a router takes no part.
impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LinkUnknown => f.write_str("waits to hear about the interface"),
            Self::LinkDown => f.write_str("the interface is down, has no carrier or does not exist"),
            Self::NoSource => f.write_str("the interface has no address of this family to send from"),
            Self::TrackUnknown(track) => write!(f, "waits for the first verdict on {track}"),
            Self::TrackDown(track) => write!(f, "{track} is down"),
            Self::Predecessor(router) => {
                write!(f, "waits until {router}, as it was configured before, has let go")
            }
            Self::Group(router) => write!(f, "{router} of the same group cannot"),
            Self::Stop => f.write_str("the director stops"),
        }
    }
}
