//! The packets against keepalived's and against any bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod hostile;
mod keepalived;
mod properties;
