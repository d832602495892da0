//! The director: configuration, event loop, dataplane adapters, control socket, command line.

pub mod config;
