//! The machine as its users see it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod groups;
mod refusals;
mod reload;
mod rules;
mod simulation;
mod states;
mod support;
