//! Threads on hosts of their own.

mod director;
mod election;
mod faults;
mod keepalived;
mod load;

pub(super) use director::router;
