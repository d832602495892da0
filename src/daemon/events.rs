//! The engine's decisions as log lines: what happened, to whom, why, what happens next.

use std::time::{Duration, Instant};

use tidegate_engine::Event;
use tracing::{debug, info, warn};

use crate::control::Feed;

// When a switch dies, thousands of servers go down at once: beyond this many lines in a window they are counted.
const WINDOW: Duration = Duration::from_secs(1);
const LINES: usize = 200;

/// Writes one line for one decision, and counts where one line each would be a flood. Whoever listens is told all.
#[derive(Debug)]
pub(super) struct EventLog {
    feed: Feed,
    window: Instant,
    written: usize,
    up: usize,
    down: usize,
}

impl EventLog {
    pub(super) fn new(now: Instant, feed: Feed) -> Self {
        Self { feed, window: now, written: 0, up: 0, down: 0 }
    }

    pub(super) fn write(&mut self, now: Instant, events: &[Event]) {
        self.heartbeat(now);
        for event in events {
            self.feed.tell(event);
            match event {
                Event::Health { healthy, .. } if self.written >= LINES => {
                    *(if *healthy { &mut self.up } else { &mut self.down }) += 1;
                }
                Event::Health { .. } => {
                    self.written += 1;
                    line(event);
                }
                _ => line(event),
            }
        }
    }

    /// To be called now and then, so that the count is written when nothing happens any more.
    pub(super) fn heartbeat(&mut self, now: Instant) {
        if now.saturating_duration_since(self.window) < WINDOW {
            return;
        }
        let Self { up, down, .. } = *self;
        if up + down > 0 {
            warn!(up, down, "more real servers went up or down than are written one by one; see the status");
        }
        *self = Self::new(now, self.feed.clone());
    }
}

fn line(event: &Event) {
    match event {
        Event::Health { virtual_server, real_server, healthy: true, check, reason, .. } => {
            info!(%virtual_server, %real_server, %check, reason, "real server is up");
        }
        Event::Health { virtual_server, real_server, kept: true, check, reason, .. } => {
            warn!(
                %virtual_server, %real_server, %check, reason,
                "real server fails its checks and stays in service: clients hear of it, so it is busy"
            );
        }
        Event::Health { virtual_server, real_server, healthy: false, check, reason, .. } => {
            warn!(%virtual_server, %real_server, %check, reason, "real server is down: no new connections");
        }
        // A load that goes up and down would fill the log; whether there is traffic at all belongs in it.
        Event::Weight { virtual_server, real_server, check, before, weight } => {
            if *weight == 0 || *before == 0 {
                info!(%virtual_server, %real_server, %check, before, weight, "a check asks for another weight");
            } else {
                debug!(%virtual_server, %real_server, %check, before, weight, "a check asks for another weight");
            }
        }
        Event::Quorum { virtual_server, held, sum, quorum, hysteresis, sorry_server } => {
            let sorry_server = sorry_server.map(|it| it.to_string()).unwrap_or_default();
            match (held, sorry_server.as_str()) {
                (true, "") => info!(%virtual_server, sum, quorum, hysteresis, "quorum gained"),
                (true, _) => info!(
                    %virtual_server, sum, quorum, hysteresis, sorry_server,
                    "quorum gained: traffic goes to the pool again"
                ),
                (false, "") => warn!(
                    %virtual_server, sum, quorum, hysteresis,
                    "quorum lost, and there is no sorry server: the pool goes on with what it has"
                ),
                (false, _) => warn!(
                    %virtual_server, sum, quorum, hysteresis, sorry_server,
                    "quorum lost: new traffic goes to the sorry server"
                ),
            }
        }
        Event::Overload { virtual_server, real_server, what } => {
            warn!(%virtual_server, %real_server, what, "overload protection");
        }
        Event::Operator { virtual_server, real_server, what } => {
            info!(%virtual_server, %real_server, what, "operator's command carried out");
        }
    }
}
