//! What a dataplane has counted, and how it differs from the sample before.

use std::net::SocketAddr;
use std::sync::Arc;

/// One sample of a virtual server's dataplane. See the [module](crate::overload) for what must be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// Name of the virtual server.
    pub virtual_server: Arc<str>,
    /// Connections that found no real server with room: refused, or given to the sorry server; in total.
    pub turned_away: u64,
    /// The real servers; those that are missing are taken as not sampled.
    pub real_servers: Vec<Load>,
}

/// What one real server carries. Totals count from any point on; one that goes down has been counted anew.
///
/// At any time begun = failed + ended + active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Key of the real server.
    pub address: SocketAddr,
    /// Connections now, with those on their way.
    pub active: u64,
    /// Connections that it was given, in total, whether it took them or not.
    pub begun: u64,
    /// Of them those that failed before they were established, in total; 0 when the dataplane cannot know.
    pub failed: u64,
    /// Of them those that were established, in total; none when the dataplane cannot tell them from SYNs.
    pub established: Option<u64>,
    /// Bytes from the server to clients, in total; none when they do not pass the dataplane.
    pub bytes_out: Option<u64>,
}

impl Load {
    /// Whether it tells of no client, now or before.
    pub(super) fn is_nothing(&self) -> bool {
        let Load { address: _, active, begun, failed, established, bytes_out } = *self;
        let totals = [active, begun, failed, established.unwrap_or(0), bytes_out.unwrap_or(0)];
        totals == [0; 5]
    }
}

/// From one sample to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Change {
    /// In seconds.
    pub(super) seconds: f64,
    /// Connections on average.
    pub(super) active: f64,
    pub(super) begun: u64,
    pub(super) failed: u64,
    /// Connections that ended after they were established, as far as the dataplane can tell.
    pub(super) completed: f64,
    /// Whether the server itself was heard of: by a handshake, by bytes, or, where neither is known, by more active
    /// connections.
    pub(super) heard: bool,
    /// Whether the dataplane tells handshakes from attempts.
    pub(super) shakes_hands: bool,
}

impl Change {
    pub(super) fn between(before: &Load, after: &Load, seconds: f64) -> Change {
        let begun = after.begun.saturating_sub(before.begun);
        let failed = after.failed.saturating_sub(before.failed);
        let taken = begun as f64 - failed as f64;
        let completed = (taken - (after.active as f64 - before.active as f64)).max(0.0);
        let shakes_hands = after.established.is_some();
        let signs = [before.established.zip(after.established), before.bytes_out.zip(after.bytes_out)];
        let heard = if signs == [None, None] {
            // A connection that ends may be one that was never taken; one that is active has been.
            after.active > before.active
        } else {
            signs.into_iter().flatten().any(|(before, after)| after > before)
        };
        let active = (before.active as f64 + after.active as f64) / 2.0;
        Change { seconds, active, begun, failed, completed, heard, shakes_hands }
    }
}
