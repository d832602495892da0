//! What to ask a real server, how to ask it, and when.
//!
//! [`Spec`] and [`Outcome`] are pure: what is asked and what came of it. One module per protocol does the asking,
//! and the runner decides when, with one deadline over each whole check.

mod check;
mod clock;
mod failure;
mod http;
mod outcome;
mod probe;
mod runner;
mod schedule;
mod socket;
mod spec;
mod text;
mod tls;
mod trace;

pub use check::run;
pub use outcome::Outcome;
pub use probe::{Observation, Probe, Target};
pub use regex::Regex;
pub use runner::{Runner, Settings};
pub use schedule::Stats;
pub use spec::{
    Body, HttpSpec, HttpVersion, Spec, StatusRange, TlsSpec, is_header, is_host, is_method, is_path,
    is_server_name,
};
