//! The engine seen from outside: the rules one by one, and properties over random histories.

mod advice;
mod large;
mod model;
mod properties;
mod reload;
mod rules;
pub(crate) mod support;
