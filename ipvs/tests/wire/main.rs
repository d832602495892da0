//! The wire format against captured bytes and against any bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod capture;
mod captured;
mod hostile;
mod properties;
