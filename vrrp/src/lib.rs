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
//! [`packet`], [`config`] and [`Machine`] are pure: no clock, no IO; those are in `io`.

mod action;
pub mod config;
mod group;
mod hear;
pub mod holding;
mod input;
#[cfg(feature = "io")]
pub mod io;
mod machine;
mod member;
pub mod packet;
mod receive;
mod status;
mod timers;
mod view;

pub use action::{Action, Reason, State, Transition};
pub use input::{Input, Received, Tracked};
pub use machine::Machine;
pub use receive::Refusal;
pub use status::{Counters, Heard, Obstacle, Refused, RouterStatus, TrackStatus};
