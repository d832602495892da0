//! The software dataplane: accepts connections for virtual servers and carries their bytes to real servers.
//!
//! A [`Table`] is published one way; [`Counters`] come back the other way. Both are plain data.

mod cells;
mod clock;
mod connection;
mod core;
mod counters;
mod datagram;
mod limits;
mod listener;
mod persistence;
mod pool;
mod proxy;
mod proxy_protocol;
mod pump;
mod scheduler;
mod services;
mod slots;
mod table;
mod tcp;
mod timer;
mod token;
mod udp;
mod worker;

pub use counters::{Counters, DestinationCounters, ServiceCounters};
pub use limits::Limits;
pub use listener::ListenError;
pub use proxy::{Proxy, Settings, StartError};
pub use table::{
    Destination, OnDown, Persistence, Protocol, ProxyProtocol, Scheduler, SchedulerFlags, Service,
    ServiceKey, Table,
};
