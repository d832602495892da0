//! Single values: from TOML's types to ours, or a reason that completes "`key` …".

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use tidegate_checkers::StatusRange;
use toml::de::DeValue;

/// Longer texts are cut in messages.
const QUOTED: usize = 60;

pub(super) fn string<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("must be a string, not {}", describe(value)))
}

/// A string without control characters, 1 to `most` bytes long.
pub(super) fn text(most: usize) -> impl Fn(&DeValue<'_>) -> Result<String, String> {
    move |value| {
        let text = string(value)?;
        if text.is_empty() || text.len() > most {
            Err(format!("must have 1 to {most} bytes, not {}", text.len()))
        } else if text.contains(char::is_control) {
            Err("must not contain control characters".to_owned())
        } else {
            Ok(text.to_owned())
        }
    }
}

/// A string that `accept` likes; `what` says what that is.
pub(super) fn text_that<'w>(
    accept: fn(&str) -> bool,
    what: &'w str,
) -> impl Fn(&DeValue<'_>) -> Result<String, String> + 'w {
    move |value| {
        let text = string(value)?;
        if accept(text) { Ok(text.to_owned()) } else { Err(format!("must be {what}, not {}", quoted(text))) }
    }
}

/// What text stands for; `what` says what it should be.
pub(super) fn parsed<T: FromStr>(what: &str) -> impl Fn(&DeValue<'_>) -> Result<T, String>
where
    T::Err: Display,
{
    move |value| {
        let text = string(value)?;
        text.parse().map_err(|why| format!("must be {what}, not {}: {why}", quoted(text)))
    }
}

/// The name of a virtual server or a check.
pub(super) fn name(value: &DeValue<'_>) -> Result<String, String> {
    let accept = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
    };
    text_that(accept, "1 to 64 letters, digits, dots, underscores or hyphens")(value)
}

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("must be true or false, not {}", describe(value)))
}

pub(super) fn integer<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&DeValue<'_>) -> Result<T, String> {
    move |value| {
        value
            .as_integer()
            .and_then(|digits| u64::from_str_radix(digits.as_str(), digits.radix()).ok())
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| {
                format!(
                    "must be an integer from {} to {}, not {}",
                    range.start(),
                    range.end(),
                    describe(value)
                )
            })
    }
}

/// `"1.5s"`, within a range.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&DeValue<'_>) -> Result<Duration, String> {
    move |value| {
        let duration = value.as_str().and_then(parse_duration).ok_or_else(|| {
            format!(
                "must be a duration: a number and its unit (ms, s, m, h or d) such as \"1.5s\", not {}",
                describe(value)
            )
        })?;
        if range.contains(&duration) {
            Ok(duration)
        } else {
            let (least, most) = (show(*range.start()), show(*range.end()));
            Err(format!("must be from {least} to {most}, not {}", describe(value)))
        }
    }
}

/// A decimal number with at most nine digits on either side of the point, and a unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        "d" => DAY,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| {
        let fits = (1..=9).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
        fits.then(|| text.parse::<u128>().ok()).flatten()
    };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 9)?);
    let nanos = unit.as_nanos() * digits(whole)? + unit.as_nanos() * digits(fraction)? / scale;
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

/// A duration as it would be written.
pub(super) fn show(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds > 0 && duration.as_nanos().is_multiple_of(DAY.as_nanos()) => {
            format!("{}d", seconds / DAY.as_secs())
        }
        0 if duration.is_zero() => "0s".to_owned(),
        _ => format!("{duration:?}"),
    }
}

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// The longest that an idle connection or a client is remembered.
pub(super) const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Whether an address needs its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// From 1.
    Needed,
    /// 0 stands for all ports.
    OrAll,
}

/// An address and a port that can be listened on.
pub(super) fn listen(port: Port) -> impl Fn(&DeValue<'_>) -> Result<SocketAddr, String> {
    move |value| {
        let address: SocketAddr = value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
            format!(
                "must be an address and a port such as \"192.0.2.1:80\" or \"[2001:db8::1]:80\" (names are not \
                 looked up), not {}",
                describe(value)
            )
        })?;
        if address.port() == 0 && port == Port::Needed {
            return Err(format!("must have a port from 1 to 65535: {address}"));
        }
        unicast(address.ip())?;
        Ok(address)
    }
}

/// An address and a port that can be connected to.
pub(super) fn peer(port: Port) -> impl Fn(&DeValue<'_>) -> Result<SocketAddr, String> {
    move |value| {
        let address = listen(port)(value)?;
        if address.ip().is_unspecified() {
            return Err(format!("must be the address of one host: {address}"));
        }
        Ok(address)
    }
}

/// A local address.
pub(super) fn ip(value: &DeValue<'_>) -> Result<IpAddr, String> {
    let ip: IpAddr = value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
        format!("must be an address without a port such as \"192.0.2.1\", not {}", describe(value))
    })?;
    if ip.is_unspecified() {
        return Err(format!("must be the address of one host: {ip}"));
    }
    unicast(ip)?;
    Ok(ip)
}

pub(super) fn unicast(ip: IpAddr) -> Result<(), String> {
    match ip {
        ip if ip.to_canonical() != ip => Err(format!("must be written as IPv4: {}", ip.to_canonical())),
        ip if ip.is_multicast() || ip == IpAddr::from([255; 4]) => {
            Err(format!("must be a unicast address, not {ip}"))
        }
        _ => Ok(()),
    }
}

/// `"200-299,301"` or `200`; one element of a list of them too.
pub(super) fn statuses(value: &DeValue<'_>) -> Result<Vec<StatusRange>, String> {
    let what = || {
        format!(
            "must be statuses from 100 to 999 such as 200, \"200-299\" or \"200-299,301\", not {}",
            describe(value)
        )
    };
    match value {
        DeValue::Integer(_) => {
            let status = integer(100..=999)(value).map_err(|_| what())?;
            Ok(vec![StatusRange { first: status, last: status }])
        }
        DeValue::String(text) => text.split(',').map(status_range).collect::<Option<_>>().ok_or_else(what),
        _ => Err(what()),
    }
}

fn status_range(text: &str) -> Option<StatusRange> {
    let status = |text: &str| {
        let text = text.trim();
        let digits = text.len() == 3 && text.bytes().all(|c| c.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten().filter(|status| *status >= 100)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = StatusRange { first: status(first)?, last: status(last)? };
    (range.first <= range.last).then_some(range)
}

/// 64 hexadecimal digits.
pub(super) fn sha256(value: &DeValue<'_>) -> Result<[u8; 32], String> {
    let digits = string(value)?.as_bytes();
    let mut digest = [0; 32];
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(format!(
            "must be the 64 hexadecimal digits of a SHA-256 digest, not {}",
            describe(value)
        ));
    }
    let digit = |c: u8| if c.is_ascii_digit() { c - b'0' } else { (c | 0x20) - b'a' + 10 };
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0]) << 4 | digit(pair[1]);
    }
    Ok(digest)
}

/// One of several words.
pub(super) fn one_of<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&DeValue<'_>) -> Result<T, String> {
    move |value| {
        let text = value.as_str();
        words.iter().find(|(word, _)| Some(*word) == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let known = words.iter().map(|(word, _)| *word);
            let hint = text.map_or(String::new(), |text| did_you_mean(text, known));
            let several = if words.len() == 1 { "" } else { "one of " };
            format!("must be {several}{}, not {}{hint}", listed(words), describe(value))
        })
    }
}

/// `"tcp", "udp"`
pub(super) fn listed<T>(words: &[(&'static str, T)]) -> String {
    words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

/// What a value is, for people.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {}", quoted(text)),
        DeValue::Integer(number) => format!("the integer {}", cut(number.as_str())),
        DeValue::Float(number) => format!("the number {}", cut(number.as_str())),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", cut(text))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `: did you mean …?`, or nothing when no candidate is near.
pub(super) fn did_you_mean<'c>(written: &str, candidates: impl Iterator<Item = &'c str>) -> String {
    if written.len() > QUOTED {
        return String::new();
    }
    candidates
        .map(|candidate| (distance(written, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 2 && *distance * 2 < candidate.len())
        .map_or(String::new(), |(_, candidate)| format!(": did you mean `{candidate}`?"))
}

/// Levenshtein's distance in bytes: how many insertions, removals and replacements lead from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
