//! The software dataplane: accepts connections for virtual servers and carries their bytes to real servers.
//!
//! A [`Table`] is published one way; [`Counters`] come back the other way. Both are plain data.

mod counters;
mod table;

pub use counters::{Counters, DestinationCounters, ServiceCounters};
pub use table::{
    Destination, OnDown, Persistence, Protocol, ProxyProtocol, Scheduler, SchedulerFlags, Service, ServiceKey,
    Table,
};
