//! VRRP versions 3 and 2 (RFC 9568, 5798, 3768), IPv4 and IPv6.
//!
//! ```text
//!   received ──decode──► packet::Advert ──┐
//!   links, tracks, commands, deadlines ───┼──► Machine::handle(now, Input) ──► [Action]
//!   configuration ──── Machine::reload ───┘        Advertise, Hold, Announce, Release, Changed
//!
//!   io (feature):  thread  sockets, timer, the machine: nothing in it waits for anything else
//!                  keeper  a thread that holds addresses, routes and rules, and announces them
//!                  guard   a process that lets go of them and resigns when the daemon has died
//! ```
//!
//! [`packet`], [`config`] and the machine are pure: no clock, no IO; those are in `io`.

mod action;
pub mod config;
pub mod holding;
mod input;
#[cfg(feature = "io")]
pub mod io;
pub mod packet;

pub use action::{Action, Reason, State, Transition};
pub use input::{Input, Received, Tracked};
