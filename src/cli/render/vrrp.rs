//! Virtual routers.

use std::fmt::Write as _;

use super::Paint;
use crate::cli::units::{age, count};
use crate::control::status::{VirtualRouter, VrrpThread};

pub(super) fn virtual_router(it: &VirtualRouter, paint: Paint) -> String {
    let state = match it.state.as_str() {
        "active" => paint.good("active"),
        "initialize" => paint.bad("takes no part"),
        state => state.to_owned(),
    };
    let addresses: Vec<_> = it.addresses.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "{}  virtual router {} on {}, VRRP version {}  {}\n  {state} for {}, priority {}",
        paint.strong(&it.name),
        it.router_id,
        it.interface,
        it.version,
        addresses.join(", "),
        age(it.for_seconds),
        it.priority,
    );
    if it.priority != it.configured_priority {
        let _ = write!(text, " ({} configured)", it.configured_priority);
    }
    if let Some(heard) = &it.heard {
        let _ = write!(
            text,
            ", heard {} with priority {} {} ago",
            heard.source,
            heard.priority,
            age(heard.age_seconds)
        );
    }
    text.push('\n');
    if let Some(obstacle) = &it.obstacle {
        let _ = writeln!(text, "  {}", paint.bad(obstacle));
    }
    for track in &it.tracks {
        let weight =
            track.weight.map_or_else(|| "else a fault".to_owned(), |weight| format!("weight {weight:+}"));
        let adds = if track.adds == 0 { String::new() } else { format!(", adds {:+}", track.adds) };
        let line = format!("  tracks {}: {} ({weight}{adds})", track.name, track.state);
        let _ = writeln!(text, "{}", if track.state == "down" { paint.warn(&line) } else { line });
    }
    if it.yields {
        let _ = writeln!(
            text,
            "  {}",
            paint.warn("has handed over: it leaves the addresses to the other director")
        );
    }
    if it.leaving {
        let _ = writeln!(text, "  {}", paint.warn("is not configured any more, and lets go"));
    }
    if it.other_addresses > 0 {
        let _ = writeln!(
            text,
            "  {}",
            paint.warn("the other director's adverts name other addresses: compare the configurations")
        );
    }
    if let Some(last) = &it.last_refused {
        let all: u64 = it.refused.values().sum();
        let line = format!(
            "  {} packets refused, the last {} ago from {}: {}",
            count(all),
            age(last.age_seconds),
            last.source,
            last.reason
        );
        let _ = writeln!(text, "{}", paint.warn(&line));
    }
    text
}

pub(super) fn thread(it: &VrrpThread) -> String {
    format!(
        "VRRP {}  adverts {}, {} late by more than 1 ms, at most {} ms\n",
        it.scheduling,
        count(it.adverts),
        count(it.late),
        it.latest_ms,
    )
}
