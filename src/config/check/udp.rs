//! `type = "udp"`

use tidegate_checkers::{Spec, UdpPattern, UdpSpec};
use toml::de::DeValue;

use crate::config::reader::Table;
use crate::config::show::{or_none, quoted};
use crate::config::values::{boolean, integer, quoted as cut, string};

pub(super) const KEYS: [&str; 7] =
    ["send", "send_hex", "expect", "expect_hex", "min_length", "max_length", "icmp_only"];

/// The longest datagrams, in bytes.
const MAX: u64 = 4096;

pub(super) fn read(table: &mut Table<'_>) -> Spec {
    let expected = either(table, ["expect", "expect_hex"], UdpPattern::text, UdpPattern::hex);
    let payload = either(table, ["send", "send_hex"], |text| Ok(text.as_bytes().to_vec()), bytes);
    let min_length = table.take("min_length", integer(0..=MAX));
    let max_length = table.take("max_length", integer(0..=MAX));
    let spec = UdpSpec {
        payload: payload.unwrap_or_default(),
        expected,
        min_length: min_length.as_ref().map_or(0, |it| it.value),
        max_length: max_length.map_or(MAX as u16, |it| it.value),
        icmp_only: table.take("icmp_only", boolean).is_some_and(|it| it.value),
    };
    if let Some(place) = min_length.filter(|it| it.value > spec.max_length).map(|it| it.place) {
        table.note(
            place,
            format!("min_length {} is more than max_length {}", spec.min_length, spec.max_length),
        );
    }
    Spec::Udp(Box::new(spec))
}

/// What is written as text or in hexadecimal digits.
fn either<T>(
    table: &mut Table<'_>,
    [text, hex]: [&'static str; 2],
    of_text: impl Fn(&str) -> Result<T, String>,
    of_hex: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    if table.has(text) && table.has(hex) {
        table.refuse(hex, format!("`{hex}` and `{text}` exclude each other"));
    }
    let parse = |value: &DeValue<'_>, of: &dyn Fn(&str) -> Result<T, String>| {
        let written = string(value)?;
        of(written).map_err(|why| format!("cannot be {}: {why}", cut(written)))
    };
    let one = table.take(text, |value| parse(value, &of_text));
    let other = table.take(hex, |value| parse(value, &of_hex));
    one.or(other).map(|it| it.value)
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    UdpPattern::hex(hex)?.literal().ok_or_else(|| "what is sent has no wildcards".to_owned())
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &UdpSpec) -> Vec<(&'static str, String)> {
    vec![
        ("send", quoted(&spec.payload.escape_ascii().to_string())),
        ("expect_hex", or_none(spec.expected.as_ref())),
        ("min_length", spec.min_length.to_string()),
        ("max_length", spec.max_length.to_string()),
        ("icmp_only", spec.icmp_only.to_string()),
    ]
}
