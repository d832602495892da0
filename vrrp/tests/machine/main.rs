//! The machine as its users see it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;
mod simulation;
mod support;
