//! One TOML file, read into a [`Model`] that is right, or into all its mistakes at once.

mod model;

pub use model::*;
