//! The engine decides what weight each real server deserves.
//!
//! A pure machine: no clock, no IO, no threads. Everything it knows arrives as a value together with the
//! time at which it is true, and everything it decides leaves as a value:
//!
//! ```text
//!   Config ──reload(now)──┐
//!   Observation, Tick,    │
//!   Traffic ──────────────┤             ┌─ Effects: events to log, virtual servers whose
//!        handle(now)      ├─► Engine ───┤           desired state is another one now
//!   Command ─command(now)─┘             ├─ desired(name): what the dataplane should hold (a level)
//!                                       └─ status(): the numbers behind every decision
//! ```
//!
//! Invariant: a weight, a quorum and the sorry server are functions of the state, never incremented; calling
//! [`Engine::desired`] twice gives the same answer.
//!
//! Invariant: a reload takes neither the quorum nor all traffic from a pool merely because its new servers
//! have not been checked yet. They are assumed up then, until their first outcome.
//!
//! [`overload`] keeps a pool serving through its peak; it tells what a dataplane must deliver and enforce for that.
//!
//! Inside, each layer knows only the one below it: the engine (time, keys, subscriptions) holds virtual
//! servers (quorum, sorry server), which hold real servers (health, weight), which hold checks (verdicts).

mod advice;
mod check;
mod config;
mod effects;
mod engine;
mod input;
pub mod overload;
mod quorum;
mod real_server;
mod status;
mod virtual_server;
mod weight;

#[cfg(test)]
mod tests;

pub use advice::Advice;
pub use check::{Run, Verdict};
pub use config::{Check, Config, Initially, Mode, RealServer, VirtualServer};
pub use effects::{Desired, Destination, Effects, Event, Role};
pub use engine::{CommandError, Engine, WEIGHT_MAX};
pub use input::{Command, Input, Observation, Outcome, OutcomeKind, ProbeId};
pub use overload::{Learned, LearnedServer, Load, OverloadStatus, ServerOverloadStatus, Stand, Traffic};
pub use real_server::{Health, Reason};
pub use status::{CheckStatus, QuorumStatus, RealServerStatus, SorryServerStatus, VirtualServerStatus};
