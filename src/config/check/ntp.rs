//! `type = "ntp"`

use std::time::Duration;

use tidegate_checkers::{NtpSpec, Spec};

use crate::config::reader::Table;
use crate::config::show::{self, or_none};
use crate::config::values::{DAY, duration, integer};

pub(super) const KEYS: [&str; 2] = ["max_stratum", "max_offset"];

/// Every clock that is synchronised (RFC 5905 §7.3).
const MAX_STRATUM: u8 = 15;

pub(super) fn read(table: &mut Table<'_>) -> Spec {
    let stratum = table.take("max_stratum", integer(1..=u64::from(MAX_STRATUM)));
    let offset = table.take("max_offset", duration(Duration::from_millis(1)..=DAY));
    Spec::Ntp(NtpSpec {
        max_stratum: stratum.map_or(MAX_STRATUM, |it| it.value),
        max_offset: offset.map(|it| it.value),
    })
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &NtpSpec) -> Vec<(&'static str, String)> {
    vec![
        ("max_stratum", spec.max_stratum.to_string()),
        ("max_offset", or_none(spec.max_offset.map(show::duration))),
    ]
}
