//! What VRRP's thread shows, as it goes over the control socket.

use std::sync::Arc;
use std::time::Instant;

use tidegate_vrrp::config::{Effect, Version};
use tidegate_vrrp::io::{Snapshot, Vrrp};
use tidegate_vrrp::{RouterStatus, TrackStatus, Tracked};

use crate::control::status::{
    Heard, RefusedPacket, Status, Track, VirtualRouter, VrrpThread, milliseconds, seconds,
};

/// Adds the virtual routers to a status, if there are any.
pub(crate) async fn complete(status: &mut Status, vrrp: Option<Arc<Vrrp>>) {
    let Some(snapshot) = (match vrrp {
        Some(vrrp) => vrrp.status().await,
        None => None,
    }) else {
        return;
    };
    status.virtual_routers = snapshot.routers.iter().map(|it| virtual_router(snapshot.now, it)).collect();
    status.vrrp = Some(thread(&snapshot));
}

fn thread(snapshot: &Snapshot) -> VrrpThread {
    VrrpThread {
        scheduling: snapshot.scheduling.to_string(),
        adverts: snapshot.lateness.adverts,
        late: snapshot.lateness.late,
        latest_ms: milliseconds(snapshot.lateness.max),
        latest_of_last_minutes_ms: milliseconds(snapshot.lateness.recent_max),
        lost_events: snapshot.lost,
    }
}

fn virtual_router(now: Instant, it: &RouterStatus) -> VirtualRouter {
    let (router, counters) = (&it.router, &it.counters);
    VirtualRouter {
        name: router.name.to_string(),
        interface: router.interface.to_string(),
        router_id: router.router_id,
        version: match router.version {
            Version::V2 => 2,
            Version::V3 => 3,
        },
        group: router.group.as_ref().map(ToString::to_string),
        addresses: router.addresses.to_vec(),
        state: it.state.to_string(),
        for_seconds: seconds(now, it.since),
        obstacle: it.obstacle.as_ref().map(ToString::to_string),
        priority: it.priority,
        configured_priority: router.priority,
        tracks: it.tracks.iter().map(track).collect(),
        advert_interval_ms: milliseconds(router.interval),
        next_step_ms: it.deadline.map(|deadline| milliseconds(deadline.saturating_duration_since(now))),
        heard: it.heard.map(|heard| Heard {
            source: heard.source,
            priority: heard.priority,
            advert_interval_ms: milliseconds(heard.interval),
            age_seconds: seconds(now, heard.at),
        }),
        yields: it.yields,
        leaving: it.leaving,
        sent: counters.sent,
        received: counters.received,
        other_addresses: counters.other_addresses,
        transitions: counters.transitions,
        refused: counters
            .refused
            .iter()
            .filter(|(_, times)| *times > 0)
            .map(|(why, times)| (why.to_string(), times))
            .collect(),
        last_refused: counters.last_refused.map(|(at, source, reason)| RefusedPacket {
            source,
            reason: reason.to_string(),
            age_seconds: seconds(now, at),
        }),
    }
}

fn track(it: &TrackStatus) -> Track {
    Track {
        name: it.key.to_string(),
        state: match it.state {
            Tracked::Unknown => "unknown".to_owned(),
            Tracked::Up => "up".to_owned(),
            Tracked::Down => "down".to_owned(),
            Tracked::Number(number) => number.to_string(),
        },
        weight: match it.effect {
            Effect::Fault => None,
            Effect::Weight(weight) => Some(weight),
        },
        adds: it.adds,
    }
}
