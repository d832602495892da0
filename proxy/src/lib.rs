//! The software dataplane: accepts connections for virtual servers and carries their bytes to real servers.
//!
//! ```text
//!              Table (immutable, whole)                        Counters (64 bits, summed at read)
//!                        │                                                   ▲
//!                        ▼                                                   │
//!   Proxy::publish: compile once, open new listeners          one cell a thread and number
//!                        │                                                   │
//!        ┌───────────────┼───────────────┐                                   │
//!        ▼ Arc + eventfd ▼               ▼                                   │
//!   ┌─ thread 0 ─┐  ┌─ thread 1 ─┐  ┌─ thread N ─┐                           │
//!   │ epoll      │  │            │  │            │                           │
//!   │ listeners  │  │    the     │  │    the     │ ──────────────────────────┘
//!   │ connections│  │    same    │  │    same    │
//!   │ timers     │  │            │  │            │ ◄─► Slot: connections of each destination, for its cap
//!   └────────────┘  └────────────┘  └────────────┘ ◄─► Templates: only for services with persistence
//! ```
//!
//! A thread owns its listeners (SO_REUSEPORT lets the kernel spread over them), its connections and its
//! timers. On the way of a connection it takes no lock and waits for nobody: it looks at the table that it
//! was given, at the number of connections of each destination (an atomic, because caps are exact over all
//! threads), and writes its own counters. Persistence is the exception: its templates are shared behind
//! locks, by the services that ask for it.
//!
//! What holds at any time:
//!
//! - A destination gets a connection only if it is alive, has a weight and is below its cap.
//! - A connect that fails is made good at another destination before the client notices, within the
//!   service's connect timeout. A client for whom nobody is left is reset.
//! - A connection's memory is bounded: what one side does not take (64 KB each way) stops the reading from
//!   the other. No connection has more than its turn, so no peer delays another.
//! - An end is passed on as it came: half-close as half-close, reset as reset. What is cut by the proxy
//!   (idle, `on_down`, shutdown) is reset, so that nobody takes a part for the whole.
//! - Connections outlive the table they came with. Only [`OnDown::Reset`] ends them; a destination or a
//!   service that is removed keeps its own. A UDP session needs its service's listener and ends with it.
//! - A drained destination (weight 0) gets no new connections, not even of persistent clients.
//!
//! Each service takes one listening socket in each thread, and each connection two descriptors: see
//! [`Limits`]. A thread that ends by a panic takes its connections with it and leaves its share of new ones
//! to the others; [`Proxy::healthy`] tells.

mod cells;
mod clock;
mod connection;
mod core;
mod counters;
mod datagram;
mod limits;
mod listener;
mod persistence;
mod pipe;
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
