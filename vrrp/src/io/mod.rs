//! What does IO: VRRP's thread with its sockets, and the keeper of what a director holds.

// The thread that uses these follows.
#[expect(dead_code)]
mod clock;
#[expect(dead_code)]
mod inbox;
mod orders;

pub use inbox::{Inbox, Link};
pub use orders::Orders;
