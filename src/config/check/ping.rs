//! `type = "ping"`

use tidegate_checkers::{PingSpec, Spec};

use crate::config::reader::Table;
use crate::config::values::integer;

pub(super) const KEYS: [&str; 1] = ["size"];

/// As much as other programs send.
const DEFAULT_SIZE: u16 = 56;
/// What fits the largest common frames.
const MAX_SIZE: u64 = 8972;

pub(super) fn read(table: &mut Table<'_>) -> Spec {
    Spec::Ping(PingSpec {
        size: table.take("size", integer(8..=MAX_SIZE)).map_or(DEFAULT_SIZE, |it| it.value),
    })
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &PingSpec) -> Vec<(&'static str, String)> {
    vec![("size", spec.size.to_string())]
}
