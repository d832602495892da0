//! The engine decides what weight each real server deserves.
//!
//! A pure machine: no clock, no IO, no threads. Everything it knows arrives as a value together with the
//! time at which it is true, and everything it decides leaves as a value:
//!
//! ```text
//!   Config ──reload(now)──┐
//!   Observation ──────────┤             ┌─ Effects: events to log, virtual servers whose
//!   Command ──────────────┼─► Engine ───┤           desired state is another one now
//!   time passing ─────────┘  handle(now)└─ desired(name): what the dataplane should hold (a level)
//! ```
//!
//! Invariant: a weight, a quorum and the sorry server are functions of the state, never incremented; calling
//! [`Engine::desired`] twice gives the same answer.

mod config;
mod effects;
mod input;

pub use config::{Check, Config, Initially, RealServer, VirtualServer};
pub use effects::{Desired, Destination, Effects, Event, Role};
pub use input::{Command, Input, Observation, Outcome, OutcomeKind, ProbeId};
