//! The generic netlink family `IPVS` (`include/uapi/linux/ip_vs.h`), encoded and decoded. Pure.
//!
//! ```text
//!   nlmsghdr │ genlmsghdr: command, version │ Service{…} Destination{…} Daemon{…} timeouts, or info
//! ```
//!
//! Attributes that are not known here are kept. What cannot be right (a known attribute of the wrong length, a
//! name without its end) is an error of that one message; nothing panics.

mod control;
mod daemon;
mod destination;
mod info;
mod message;
mod service;
mod stats;
mod value;

pub use control::*;
pub use daemon::*;
pub use destination::*;
pub use info::*;
pub use message::*;
pub use service::*;
pub use stats::*;
pub use value::{Counter, Flags, Nested, Port};
