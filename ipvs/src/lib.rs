//! IPVS over generic netlink.
//!
//! ```text
//!   Request ──encode──► wire::Message ──► Connection ──► kernel        (apply: many in one send)
//!   Table ◄──decode─── wire::Message ◄── Connection ◄── kernel        (dump)
//! ```
//!
//! [`wire`] is the format, [`table`] the vocabulary, [`codec`] goes between them, [`Request`] is what can be asked
//! for; all of it pure. [`Connection`] (feature `socket`) is the only part that does IO.
//!
//! What has to change to get from one table to another is decided by whoever uses this crate: the daemon has one
//! plan for all its dataplanes. A request says how things shall be, not how to get there, and one that is already
//! in effect succeeds.

#[cfg(feature = "socket")]
mod clock;
pub mod codec;
mod request;
#[cfg(feature = "socket")]
mod socket;
pub mod table;
pub mod wire;

pub use request::Request;
#[cfg(feature = "socket")]
pub use socket::{Connection, Error, Fault};
