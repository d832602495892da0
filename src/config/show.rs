//! Values as a configuration would have them, for people who compare two.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

pub(crate) fn or_none<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

pub(crate) fn list<T: Display>(values: &[T]) -> String {
    let values: Vec<_> = values.iter().map(ToString::to_string).collect();
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}

pub(crate) fn duration(value: Duration) -> String {
    if value.is_zero() { "0s".to_owned() } else { format!("{value:?}") }
}

pub(crate) fn file(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// Free text, so that one sees where it begins and ends.
pub(crate) fn quoted(text: &str) -> String {
    format!("{text:?}")
}
