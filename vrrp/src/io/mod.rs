//! What does IO: VRRP's thread with its sockets, and the keeper of what a director holds.

mod announce;
mod clock;
mod event;
pub mod guard;
mod hearing;
mod inbox;
pub mod keeper;
mod lateness;
mod links;
mod memory;
#[cfg(test)]
mod namespace;
mod netlink;
mod orders;
mod outbox;
mod output;
mod ports;
mod realtime;
mod socket;
mod thread;
mod vrrp;

pub use event::Event;
pub use inbox::{Inbox, Link};
pub use lateness::{LATE, Lateness};
pub use orders::Orders;
pub use realtime::{Class, Scheduling};
pub use vrrp::{Snapshot, Vrrp};

#[cfg(test)]
mod tests;
