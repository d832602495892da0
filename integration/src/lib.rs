//! What the tests share: real peers, network namespaces and a running director.
//!
//! A helper that misses something on the machine (a program, a privilege) panics with what to install or how to
//! run: a test is never skipped.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod client;
pub mod clock;
pub mod datagrams;
pub mod director;
pub mod dns;
pub mod failover;
pub mod keepalived;
pub mod lab;
pub mod namespace;
pub mod nginx;
pub mod peak;
pub mod peer;
pub mod pki;
pub mod sockets;
pub mod web;
