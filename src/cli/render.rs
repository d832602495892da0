//! The status for people, at a glance. Pure.

mod vrrp;

use std::fmt::Write as _;

use super::units::{age, bytes, count};
use crate::control::status::{
    Director, Learned, Listen, Overload, RealServer, SilentCheck, SorryServer, Status, Traffic, VirtualServer,
};

/// The whole status; with `colour`, what needs attention stands out.
pub(super) fn status(status: &Status, colour: bool) -> String {
    let paint = Paint(colour);
    let mut text = director(&status.director, paint);
    text.extend(status.vrrp.as_ref().map(vrrp::thread));
    for virtual_router in &status.virtual_routers {
        text.push('\n');
        text.push_str(&vrrp::virtual_router(virtual_router, paint));
    }
    for virtual_server in &status.virtual_servers {
        text.push('\n');
        text.push_str(&render_virtual_server(virtual_server, paint));
    }
    text
}

#[derive(Debug, Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn warn(self, text: &str) -> String {
        self.with("33", text)
    }

    fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn director(it: &Director, paint: Paint) -> String {
    let mut text = format!(
        "director {}  up {}  configuration {} ({}, applied {} ago)\n",
        paint.strong(&it.id),
        age(it.uptime_seconds),
        it.configuration.generation,
        it.configuration.file,
        age(it.configuration.age_seconds),
    );
    let plane = &it.dataplane;
    let _ = writeln!(
        text,
        "connections {} of {} (descriptor limit {})  checks {}, {} begun, {} late, {} not run",
        count(plane.active),
        count(plane.connection_limit),
        count(plane.descriptor_limit),
        count(it.checks.probes),
        count(it.checks.started),
        count(it.checks.late),
        count(it.checks.not_run),
    );
    let mut alarm = |what: &str| {
        let _ = writeln!(text, "{}", paint.bad(what));
    };
    if it.stopping {
        alarm("stopping: no new connections");
    }
    if it.checks.silent > 0 {
        let named: Vec<_> = it.checks.silent_checks.iter().take(3).map(silent).collect();
        let more = if it.checks.silent > named.len() as u64 { ", …" } else { "" };
        alarm(&format!(
            "{} checks have stopped giving results: {}{more}",
            count(it.checks.silent),
            named.join(", ")
        ));
    }
    if !plane.answering {
        alarm("the dataplane does not answer: its numbers are missing");
    }
    if let Some(error) = &plane.error {
        alarm(&format!("dataplane: {error}"));
    }
    if let Some(error) = &it.configuration.last_error {
        alarm(&format!("the last reload was not applied:\n{}", error.trim_end()));
    }
    text
}

fn silent(it: &SilentCheck) -> String {
    format!("{} {} {} for {}", it.virtual_server, it.real_server, it.check, age(it.age_seconds))
}

fn render_virtual_server(it: &VirtualServer, paint: Paint) -> String {
    let listen: Vec<_> = it.listen.iter().map(|listen| listen.name.as_str()).collect();
    let mut text =
        format!("{}  {} {}  {}\n", paint.strong(&it.name), listen.join(", "), it.dataplane, it.scheduler);
    text.push_str(&quorum(it, paint));
    text.extend(it.overload.as_ref().map(|it| overload(it, paint)));
    for listen in &it.listen {
        text.push_str(&listener(listen, paint));
    }
    text.push_str(&pool(&it.real_servers, paint));
    if let Some(sorry_server) = &it.sorry_server {
        text.push_str(&render_sorry_server(sorry_server, paint));
    }
    text
}

fn quorum(it: &VirtualServer, paint: Paint) -> String {
    let quorum = &it.quorum;
    let state = if quorum.held { paint.good("held") } else { paint.bad("not held") };
    format!(
        "  quorum {state} for {}: healthy weight {}, gained at {}, lost below {}\n",
        age(quorum.for_seconds),
        quorum.sum,
        quorum.gained_at,
        quorum.lost_below,
    )
}

/// Whether servers are short is for an operator to see also when nobody was hurt.
fn overload(it: &Overload, paint: Paint) -> String {
    if !it.sampled {
        return format!("  overload {}: the dataplane has counted nothing yet\n", it.mode);
    }
    let capacity = match it.capacity {
        Some(capacity) => format!("{capacity}/s can be served"),
        None => "how much can be served is not known, not every server has been full".to_owned(),
    };
    let mut text = format!("  overload {}: {}/s asked for, {capacity}", it.mode, it.demand);
    if it.turned_away > 0.0 {
        let _ =
            write!(text, ", {}", paint.bad(&format!("{}/s turned away: servers are short", it.turned_away)));
    }
    text + "\n"
}

fn learned(it: &Learned) -> String {
    let mut parts = Vec::new();
    match it.stand.as_str() {
        "kept" => parts.push("kept: it serves clients, whatever its checks say".to_owned()),
        "held" => parts.push("held back: it has fallen too often".to_owned()),
        _ => {}
    }
    if let Some(cap) = it.cap {
        let mut part = format!("at most {} connections", count(cap.into()));
        if let Some((now, rest)) = it.residence_ms.zip(it.residence_at_rest_ms) {
            let _ = write!(part, ", which take {now} ms now and {rest} ms when none waits");
        }
        parts.push(part);
    }
    parts.join("; ")
}

fn listener(it: &Listen, paint: Paint) -> String {
    let mut text = String::new();
    if let Some(error) = &it.error {
        let _ = writeln!(text, "  {}", paint.bad(&format!("{} is not served: {error}", it.name)));
    }
    if it.no_destination + it.over_limit > 0 {
        let _ = writeln!(
            text,
            "  {} of {} turned away on {}: {} found no real server, {} over the director's limit",
            paint.warn(&count(it.no_destination + it.over_limit)),
            count(it.accepted),
            it.name,
            count(it.no_destination),
            count(it.over_limit),
        );
    }
    text
}

const HEAD: [&str; 9] =
    ["real server", "state", "for", "weight", "active", "connections", "in", "out", "why"];

fn pool(servers: &[RealServer], paint: Paint) -> String {
    let rows: Vec<[String; 9]> = servers.iter().map(row).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(HEAD[column].len())
    };
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |cells: &[&str; 9], state: &dyn Fn(&str) -> String| {
        let mut line = String::from(" ");
        for (column, cell) in cells.iter().enumerate() {
            line.push(' ');
            match column {
                8 => line.push_str(cell),
                1 => line.push_str(&state(&format!("{cell:<width$}", width = widths[1]))),
                3..=7 => {
                    let _ = write!(line, "{cell:>width$}", width = widths[column]);
                }
                _ => {
                    let _ = write!(line, "{cell:<width$}", width = widths[column]);
                }
            }
            line.push(' ');
        }
        line.truncate(line.trim_end().len());
        line + "\n"
    };
    let mut text = line(&HEAD, &str::to_owned);
    for (row, server) in rows.iter().zip(servers) {
        let colour = |cell: &str| match server.state.as_str() {
            "up" => paint.good(cell),
            "down" => paint.bad(cell),
            _ => paint.warn(cell),
        };
        text.push_str(&line(&std::array::from_fn(|column| row[column].as_str()), &colour));
    }
    text
}

fn row(it: &RealServer) -> [String; 9] {
    let target = target_weight(it);
    let mut weight = it.weight.to_string();
    if it.weight != target {
        let _ = write!(weight, "/{target}");
    }
    if it.operator_weight.is_some() {
        weight.push('*');
    }
    let Traffic { active, connections, bytes_in, bytes_out, .. } = it.traffic;
    [
        it.address.to_string(),
        it.state.clone(),
        age(it.for_seconds),
        weight,
        count(active),
        count(connections),
        bytes(bytes_in),
        bytes(bytes_out),
        why(it),
    ]
}

fn target_weight(it: &RealServer) -> u32 {
    it.operator_weight.or(it.advised_weight).unwrap_or(it.configured_weight)
}

/// The reason and, of each check, the last outcome.
fn why(it: &RealServer) -> String {
    let mut parts = vec![it.reason.clone()];
    if it.drained && it.state != "drained" {
        parts.push("drained by an operator".to_owned());
    }
    if matches!(it.state.as_str(), "up" | "assumed up") && it.weight < target_weight(it) {
        let why = if it.weight > 0 { "slow start" } else { "the sorry server serves in its place" };
        parts.push(why.to_owned());
    }
    if it.operator_weight.is_some() {
        parts.push(format!("* weight set by an operator, configured {}", it.configured_weight));
    } else if it.advised_weight.is_some() {
        parts.push(format!("weight by its checks, configured {}", it.configured_weight));
    }
    parts.extend(it.overload.as_ref().map(learned));
    if it.traffic.connect_failures > 0 {
        parts.push(format!("{} failed connects", count(it.traffic.connect_failures)));
    }
    for check in &it.checks {
        let Some(last) = check.outcomes.first() else { continue };
        let detail = if last.detail.is_empty() { String::new() } else { format!(" ({})", last.detail) };
        let mut part = format!(
            "{} {}{detail} {:.1} ms, {} ago",
            check.name,
            last.kind,
            last.latency_ms,
            age(last.age_seconds)
        );
        if check.count > 0 {
            let _ = write!(part, ", {} of {} in a row", check.count, check.needed);
        }
        parts.push(part);
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

fn render_sorry_server(it: &SorryServer, paint: Paint) -> String {
    let state = if it.serving { paint.bad("serving") } else { "standing by".to_owned() };
    let Traffic { active, connections, .. } = it.traffic;
    format!(
        "  sorry server {} {state}, {} active, {} connections\n",
        it.address,
        count(active),
        count(connections)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real_server(state: &str, weight: u32) -> RealServer {
        RealServer {
            address: "192.0.2.1:80".parse().unwrap(),
            state: state.to_owned(),
            for_seconds: 1.0,
            reason: "2 passes in a row".to_owned(),
            weight,
            configured_weight: 10,
            operator_weight: None,
            advised_weight: None,
            drained: false,
            max_connections: 0,
            overload: None,
            traffic: Traffic::default(),
            checks: Vec::new(),
        }
    }

    #[test]
    fn a_weight_below_its_target_has_its_reason() {
        assert_eq!(why(&real_server("up", 10)), "2 passes in a row");
        assert_eq!(why(&real_server("up", 3)), "2 passes in a row; slow start");
        assert_eq!(why(&real_server("up", 0)), "2 passes in a row; the sorry server serves in its place");
        assert_eq!(why(&real_server("down", 0)), "2 passes in a row");
        let drained = RealServer { drained: true, ..real_server("down", 0) };
        assert_eq!(why(&drained), "2 passes in a row; drained by an operator");
        assert_eq!(why(&RealServer { state: "drained".to_owned(), ..drained }), "2 passes in a row");
    }

    #[test]
    fn columns_line_up_and_only_colour_makes_escapes() {
        let servers =
            [real_server("up", 10), RealServer { operator_weight: Some(300), ..real_server("down", 0) }];
        let plain = pool(&servers, Paint(false));
        let at = |line: &str| line.find("2 passes").or(line.find("why")).unwrap();
        let columns: Vec<_> = plain.lines().map(at).collect();
        assert_eq!(columns, vec![columns[0]; 3], "{plain}");
        assert!(plain.contains("0/300*") && !plain.contains('\u{1b}'), "{plain}");

        let painted = pool(&servers, Paint(true));
        assert!(painted.contains("\u{1b}[32mup") && painted.contains("\u{1b}[1;31mdown"), "{painted:?}");
    }
}
