//! The director: configuration, event loop, dataplane adapters, control socket, command line.
//!
//! `config` reads the file, `probes` and `dataplane` translate it for the crates that do the work, `daemon` joins
//! them in one event loop, `control` answers operators, `cli` asks for them.

pub mod cli;
mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dataplane;
pub mod demo;
mod failover;
mod memory;
mod names;
pub mod plan;
pub mod probes;
pub mod simulate;
mod threads;
