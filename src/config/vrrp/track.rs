//! `[[vrrp.track]]`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_vrrp::config::{Effect, Track};
use toml::de::DeValue;

use crate::config::ipvs::interface;
use crate::config::model::Watch;
use crate::config::place::At;
use crate::config::reader::Table;
use crate::config::values::{self, DAY, describe, duration, integer, one_of, show, text, text_that};
use crate::config::{Context, command};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
const SCRIPT_INTERVAL: Duration = Duration::from_secs(2);
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Interface,
    Script,
    File,
    Process,
    VirtualServer,
}

const KINDS: [(&str, Kind); 5] = [
    ("interface", Kind::Interface),
    ("script", Kind::Script),
    ("file", Kind::File),
    ("process", Kind::Process),
    ("virtual_server", Kind::VirtualServer),
];

impl Kind {
    fn word(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

/// What a router tracks. What has to be watched for it is known to the context afterwards.
pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Vec<Track> {
    let mut tracks: Vec<Track> = Vec::new();
    for mut table in table.tables("track", "[[vrrp.track]]") {
        let track = one(&mut table, context);
        if let Some(again) = track.as_ref().filter(|it| tracks.iter().any(|before| before.key == it.key)) {
            table.note(table.place, format!("this router tracks {} already", again.key));
        }
        tracks.extend(track);
        table.finish();
    }
    tracks
}

fn one(table: &mut Table<'_>, context: &mut Context) -> Option<Track> {
    let kind = table.require("type", one_of(&KINDS))?.value;
    if matches!(kind, Kind::Interface | Kind::VirtualServer) {
        table.refuse("name", "what is tracked has a name of its own");
    }
    let name = table.take("name", values::name).map(|it| it.value);
    let weight = table.take("weight", weight);
    let (key, watch) = match kind {
        Kind::Interface => {
            let interface = table.require("interface", interface)?.value;
            (format!("interface {interface}"), Watch::Interface(interface))
        }
        Kind::Script => script(table)?,
        Kind::File => {
            let path = table.require("path", absolute_path)?.value;
            let interval = interval(table);
            (format!("file {}", path.display()), Watch::File { path, interval })
        }
        Kind::Process => {
            let program = table.require("program", text_that(is_program, "the name of a program"))?.value;
            let least = table.take("least", integer(1..=1_000_000)).map_or(1, |it| it.value);
            let interval = interval(table);
            (format!("process {program}"), Watch::Process { program, least, interval })
        }
        Kind::VirtualServer => quorum(table, weight.as_ref(), context)?,
    };
    let key: Arc<str> = name.map_or(key, |name| format!("{} {name}", kind.word())).into();
    let known = context.watches.entry(key.clone()).or_insert_with(|| watch.clone());
    if *known != watch {
        table.note(table.place, format!("{key} is watched in another way elsewhere: give this one a `name`"));
    }
    Some(Track { key, effect: weight.map_or(Effect::Fault, |it| Effect::Weight(it.value)) })
}

fn script(table: &mut Table<'_>) -> Option<(String, Watch)> {
    let interval = table.take("interval", positive());
    let timeout = table.take("timeout", positive());
    let rise = table.take("rise", integer(1..=1_000_000)).map_or(1, |it| it.value);
    let fall = table.take("fall", integer(1..=1_000_000)).map_or(1, |it| it.value);
    let place = timeout.as_ref().or(interval.as_ref()).map(|it| it.place);
    let interval = interval.map_or(SCRIPT_INTERVAL, |it| it.value);
    let timeout = timeout.map_or(SCRIPT_TIMEOUT.min(interval), |it| it.value);
    if let Some(place) = place.filter(|_| timeout > interval) {
        let (timeout, interval) = (show(timeout), show(interval));
        table.note(place, format!("timeout {timeout} is more than interval {interval}: one runs at a time"));
    }
    let command = command::read(table)?;
    Some((
        format!("script {}", command.arguments.join(" ")),
        Watch::Script { command, interval, timeout, rise, fall },
    ))
}

/// Only with a weight: where both directors lose the quorum, nothing may move.
fn quorum(table: &mut Table<'_>, weight: Option<&At<i16>>, context: &mut Context) -> Option<(String, Watch)> {
    let name = table.require("virtual_server", values::name)?;
    if weight.is_none() && !table.has("weight") && table.whole() {
        table.note(
            table.place,
            "a virtual server is tracked with a `weight`: if its quorum were a fault, both directors would let go \
             of the addresses when the pool is down",
        );
    }
    let quorum_of: Arc<str> = name.value.into();
    context.tracked_virtual_servers.push(At { value: quorum_of.clone(), place: name.place });
    Some((format!("virtual_server {quorum_of}"), Watch::Quorum(quorum_of)))
}

fn interval(table: &mut Table<'_>) -> Duration {
    table.take("interval", positive()).map_or(DEFAULT_INTERVAL, |it| it.value)
}

fn positive() -> impl Fn(&DeValue<'_>) -> Result<Duration, String> {
    duration(Duration::from_millis(100)..=DAY)
}

/// What is added to a priority.
fn weight(value: &DeValue<'_>) -> Result<i16, String> {
    let number = value.as_integer().and_then(|it| i16::from_str_radix(it.as_str(), it.radix()).ok());
    number
        .filter(|number| (-253..=253).contains(number) && *number != 0)
        .ok_or_else(|| format!("must be an integer from -253 to 253 and not 0, not {}", describe(value)))
}

fn absolute_path(value: &DeValue<'_>) -> Result<PathBuf, String> {
    let path = PathBuf::from(text(4096)(value)?);
    if path.is_absolute() { Ok(path) } else { Err("must be an absolute path".to_owned()) }
}

/// As in `/proc/PID/comm`, or longer.
fn is_program(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.contains('/') && !name.contains(char::is_control)
}
