//! What was learned, to be kept over a restart or handed to the other director.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Overload;
use super::residence::AtRest;

/// All that was learned about real servers.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Learned {
    /// In no particular order.
    pub real_servers: Vec<LearnedServer>,
}

/// What was learned about one real server of one virtual server.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LearnedServer {
    /// Name of the virtual server.
    pub virtual_server: Arc<str>,
    /// Key of the real server.
    pub real_server: SocketAddr,
    /// The most connections, if that was ever found out.
    pub cap: Option<f64>,
    /// How long a connection lasts when none waits, in seconds.
    pub residence: f64,
    /// How long a check takes when it does not wait, in seconds.
    pub latency: Option<f64>,
}

impl Overload {
    /// Only of those servers of the pool about which enough is known.
    pub(crate) fn learned(
        &self,
        virtual_server: &Arc<str>,
        pool: impl Iterator<Item = SocketAddr>,
    ) -> impl Iterator<Item = LearnedServer> {
        self.guards.iter().zip(pool).filter_map(|(it, real_server)| {
            let cap = it.clients.cap()?;
            Some(LearnedServer {
                virtual_server: virtual_server.clone(),
                real_server,
                cap: cap.limit,
                residence: cap.at_rest.residence()?,
                latency: it.checks.latency_at_rest,
            })
        })
    }

    /// Takes over what is sane for a server of which nothing is known yet.
    pub(crate) fn recall(&mut self, index: usize, learned: &LearnedServer) {
        let sane = |number: &f64| number.is_finite() && *number > 0.0;
        let guard = &mut self.guards[index];
        let known = guard.clients.cap().and_then(|it| it.at_rest.residence());
        if known.is_none() && sane(&learned.residence) {
            guard.checks.latency_at_rest = learned.latency.filter(sane);
            let cap = &mut guard.clients.seen(learned.real_server).cap;
            cap.at_rest = AtRest::recalled(learned.residence);
            cap.limit = learned.cap.filter(sane).map(|cap| cap.max(1.0));
        }
    }
}
