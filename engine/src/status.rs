//! The state, read by reference, with the numbers behind every decision.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::check::{Check, Run, Verdict};
use crate::config;
use crate::overload::{Overload, OverloadStatus, ServerOverloadStatus};
use crate::real_server::{Health, RealServer, Reason};
use crate::virtual_server::VirtualServer;

/// A virtual server and why traffic goes where it goes.
#[derive(Debug, Clone, Copy)]
pub struct VirtualServerStatus<'a> {
    /// The key.
    pub name: &'a Arc<str>,
    /// The quorum and its arithmetic.
    pub quorum: QuorumStatus,
    /// The sorry server, if one is configured.
    pub sorry_server: Option<SorryServerStatus>,
    /// The overload protection, unless it is off.
    pub overload: Option<OverloadStatus>,
    state: &'a VirtualServer,
    now: Instant,
}

/// A quorum: gained at `sum` ≥ `gained_at`, lost at `sum` < `lost_below`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumStatus {
    /// Whether it is held.
    pub held: bool,
    /// When it was last gained or lost; before that, when the virtual server became known.
    pub since: Instant,
    /// W, the sum of the weights of healthy servers that are not drained; a slow start does not lessen it.
    pub sum: u64,
    /// Q.
    pub quorum: u32,
    /// H.
    pub hysteresis: u32,
    /// Q + H, at least 1.
    pub gained_at: u64,
    /// Q − H, at least 1.
    pub lost_below: u64,
}

/// The stand-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SorryServerStatus {
    /// Where.
    pub address: SocketAddr,
    /// Whether new connections go there now.
    pub serving: bool,
}

/// A real server and why it has the weight that it has.
#[derive(Debug, Clone, Copy)]
pub struct RealServerStatus<'a> {
    /// The key.
    pub address: SocketAddr,
    /// The weight in the configuration.
    pub configured_weight: u32,
    /// The operator's weight, which takes its place.
    pub operator_weight: Option<u32>,
    /// The weight that its checks ask for, which takes the configured one's place.
    pub advised_weight: Option<u32>,
    /// Whether an operator has drained it.
    pub drained: bool,
    /// The weight in [`Desired`](crate::Desired): 0 unless healthy, less than the whole during a slow start,
    /// 0 while the sorry server serves.
    pub weight: u32,
    /// The state and since when.
    pub health: Health,
    /// Why it is in this state.
    pub reason: &'a Reason,
    /// What the overload protection knows of it, unless it is off.
    pub overload: Option<ServerOverloadStatus>,
    rules: &'a [config::Check],
    state: &'a RealServer,
}

/// One check of a real server.
#[derive(Debug, Clone, Copy)]
pub struct CheckStatus<'a> {
    /// The key, and the counts that its verdict is on the way to.
    pub rules: &'a config::Check,
    /// The state and the count so far.
    pub verdict: Verdict,
    /// The last few runs of equal outcomes, the oldest first. Empty before the first outcome.
    pub history: &'a [Run],
}

impl<'a> VirtualServerStatus<'a> {
    pub(crate) fn new(state: &'a VirtualServer, now: Instant) -> VirtualServerStatus<'a> {
        VirtualServerStatus {
            name: &state.name,
            quorum: QuorumStatus {
                held: state.held,
                since: state.since,
                sum: state.sum(),
                quorum: state.band.quorum,
                hysteresis: state.band.hysteresis,
                gained_at: state.band.gained_at(),
                lost_below: state.band.lost_below(),
            },
            sorry_server: state.sorry_server.map(|address| SorryServerStatus {
                address,
                serving: state.serving_sorry_server().is_some(),
            }),
            overload: state.overload.as_ref().map(Overload::status),
            state,
            now,
        }
    }

    /// The pool, in ascending order of address.
    pub fn real_servers(&self) -> impl ExactSizeIterator<Item = RealServerStatus<'a>> + use<'a> {
        let (virtual_server, now) = (self.state, self.now);
        virtual_server.real_servers.iter().enumerate().map(move |(index, state)| RealServerStatus {
            address: state.address,
            configured_weight: state.configured_weight,
            operator_weight: state.operator_weight,
            advised_weight: state.advised_weight,
            drained: state.drained,
            weight: virtual_server.destination(index, now).weight,
            health: state.health,
            reason: &state.reason,
            overload: virtual_server.overload.as_ref().map(|it| it.server_status(index)),
            rules: &virtual_server.checks,
            state,
        })
    }
}

impl<'a> RealServerStatus<'a> {
    /// The checks, in the order of the configuration.
    pub fn checks(&self) -> impl ExactSizeIterator<Item = CheckStatus<'a>> + use<'a> {
        let status = |(rules, check): (&'a config::Check, &'a Check)| CheckStatus {
            rules,
            verdict: check.verdict,
            history: &check.history,
        };
        self.rules.iter().zip(&self.state.checks).map(status)
    }
}

impl<'a> CheckStatus<'a> {
    /// The last outcome, how often it came in a row and when.
    pub fn last(&self) -> Option<&'a Run> {
        self.history.last()
    }
}
