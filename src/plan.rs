//! What a reload would change. Pure.
//!
//! A configuration is described as sections of named values; two descriptions are compared. The daemon hands out
//! the description of what runs, the command line makes that of a file.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use tidegate_checkers::{Body, HttpSpec, HttpVersion, Spec};
use tidegate_engine::Initially;

use crate::config::{Check, Dataplane, Director, Model, Persistence, VirtualServer};

/// The keys of `[director]` that a reload applies; the others are fixed at the start.
const RELOADED: [&str; 2] = ["id", "shutdown_grace"];

const DIRECTOR: &str = "director";

/// A configuration as sections of named values.
///
/// Sections are `director`, `virtual server NAME`, `virtual server NAME, check NAME` and
/// `virtual server NAME, real server ADDRESS`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Description(BTreeMap<String, BTreeMap<String, String>>);

/// One difference between two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A section that only the new one has.
    Added(String),
    /// A section that only the old one has.
    Removed(String),
    /// A value that is another one.
    Changed {
        /// Where.
        section: String,
        /// Which value.
        name: String,
        /// Before.
        old: String,
        /// After.
        new: String,
    },
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Added(section) => write!(f, "+ {section}"),
            Self::Removed(section) => write!(f, "- {section}"),
            Self::Changed { section, name, old, new } => {
                write!(f, "~ {section}: {name} {old} -> {new}")?;
                if section == DIRECTOR && !RELOADED.contains(&name.as_str()) {
                    f.write_str(" (not before the director is started anew)")?;
                }
                Ok(())
            }
        }
    }
}

impl Description {
    /// Describes a configuration.
    pub fn of(model: &Model) -> Self {
        let mut description = Self::default();
        description.add(DIRECTOR.into(), director(&model.director));
        for virtual_server in &model.virtual_servers {
            description.add_virtual_server(virtual_server);
        }
        description
    }

    fn add_virtual_server(&mut self, it: &VirtualServer) {
        let section = format!("virtual server {}", it.name);
        for check in &it.checks {
            self.add_check(format!("{section}, check {}", check.name), check);
        }
        for server in &it.real_servers {
            let values = [
                ("weight", server.weight.to_string()),
                ("max_connections", server.max_connections.to_string()),
                ("resume_below", server.resume_below.to_string()),
                ("forwarding", server.forwarding.to_string()),
            ];
            self.add(format!("{section}, real server {}", server.address), values);
        }
        let mut values = dataplane(&it.dataplane);
        values.extend([
            ("listen", list(&it.listen)),
            ("scheduler", it.scheduler.to_string()),
            ("scheduler_flags", it.scheduler_flags.to_string()),
            ("persistence", or_none(it.persistence.as_ref().map(persistence))),
            ("quorum", it.quorum.to_string()),
            ("hysteresis", it.hysteresis.to_string()),
            ("sorry_server", or_none(it.sorry_server.map(|it| it.address))),
            ("sorry_server.forwarding", or_none(it.sorry_server.map(|it| it.forwarding))),
            ("slow_start", duration(it.slow_start)),
        ]);
        self.add(section, values);
    }

    fn add_check(&mut self, section: String, check: &Check) {
        let mut question = question(&check.spec);
        question.extend([
            ("port", or_none(check.port)),
            ("connect_to", or_none(check.connect_to)),
            ("bind", or_none(check.bind)),
            ("fwmark", or_none(check.fwmark)),
            ("interval", duration(check.interval)),
            ("timeout", duration(check.timeout)),
            ("rise", check.rise.to_string()),
            ("fall", check.fall.to_string()),
            ("initially", initially(check.initially).to_owned()),
            ("only_admission", check.only_admission.to_string()),
        ]);
        self.add(section, question);
    }

    fn add(&mut self, section: String, values: impl IntoIterator<Item = (&'static str, String)>) {
        self.0.insert(section, values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    }

    /// What has to be done to come from `self` to `new`, in the order of the sections.
    pub fn differences(&self, new: &Self) -> Vec<Difference> {
        let sections: std::collections::BTreeSet<_> = self.0.keys().chain(new.0.keys()).collect();
        let mut differences = Vec::new();
        for section in sections {
            match (self.0.get(section), new.0.get(section)) {
                (None, _) => differences.push(Difference::Added(section.clone())),
                (_, None) => differences.push(Difference::Removed(section.clone())),
                (Some(before), Some(after)) => {
                    differences.extend(changed_values(section, before, after));
                }
            }
        }
        differences
    }
}

fn changed_values<'a>(
    section: &'a str,
    before: &'a BTreeMap<String, String>,
    after: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = Difference> + 'a {
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter_map(move |name| {
        let (old, new) = (before.get(name), after.get(name));
        let shown = |value: Option<&String>| value.cloned().unwrap_or_else(|| "none".into());
        (old != new).then(|| Difference::Changed {
            section: section.to_owned(),
            name: name.clone(),
            old: shown(old),
            new: shown(new),
        })
    })
}

/// Lets what is fixed at the start stay as it runs. Returns the keys for which the new configuration has another
/// value.
pub(crate) fn keep_fixed(running: &Director, new: &mut Director) -> Vec<&'static str> {
    let kept = Director { id: new.id.clone(), shutdown_grace: new.shutdown_grace, ..running.clone() };
    let wanted = std::mem::replace(new, kept);
    let pairs = director(new).into_iter().zip(director(&wanted));
    pairs.filter(|(kept, wanted)| kept != wanted).map(|((key, _), _)| key).collect()
}

fn director(it: &Director) -> [(&'static str, String); 11] {
    [
        ("id", quoted(&it.id)),
        ("control_socket", file(&it.control_socket)),
        ("control_group", or_none(it.control_group.as_deref().map(quoted))),
        ("shutdown_grace", duration(it.shutdown_grace)),
        ("resync_interval", duration(it.resync_interval)),
        ("proxy_threads", or_none(it.proxy_threads)),
        ("max_concurrent_checks", it.max_concurrent_checks.to_string()),
        ("log.format", it.log.format.to_string()),
        ("log.level", it.log.level.to_string()),
        ("ipvs.timeouts", it.ipvs.timeouts.to_string()),
        ("ipvs.sync", or_none(Some(list(&it.ipvs.sync)).filter(|sync| !sync.is_empty()))),
    ]
}

fn dataplane(dataplane: &Dataplane) -> Vec<(&'static str, String)> {
    let mut values = vec![("dataplane", dataplane.kind().to_string())];
    match dataplane {
        Dataplane::Proxy(options) => values.extend([
            ("on_down", options.on_down.to_string()),
            ("connect_timeout", duration(options.connect_timeout)),
            ("idle_timeout", duration(options.idle_timeout)),
            ("proxy_protocol", or_none(options.proxy_protocol)),
        ]),
        Dataplane::Ipvs(options) => values.extend([
            ("on_down", options.on_down.to_string()),
            ("on_stop", options.on_stop.to_string()),
            ("one_packet", options.one_packet.to_string()),
            ("persistence.engine", or_none(options.persistence_engine.as_deref())),
        ]),
    }
    values
}

fn question(spec: &Spec) -> Vec<(&'static str, String)> {
    match spec {
        Spec::Tcp => vec![("type", "tcp".to_owned())],
        Spec::Http(http) => http_question(http),
    }
}

fn http_question(http: &HttpSpec) -> Vec<(&'static str, String)> {
    let tls = http.tls.clone().unwrap_or_default();
    let (certificate, key) = tls.client_certificate.unzip();
    let (body, digest) = match &http.body {
        None => (None, None),
        Some(Body::Matches(regex)) => (Some(quoted(regex.as_str())), None),
        Some(Body::Sha256(digest)) => (None, Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())),
    };
    let version = match http.version {
        HttpVersion::Http10 => "1.0",
        HttpVersion::Http11 => "1.1",
        HttpVersion::Http2 => "2",
    };
    let headers: Vec<_> =
        http.headers.iter().map(|(name, value)| format!("{name} = {}", quoted(value))).collect();
    vec![
        ("type", if http.tls.is_some() { "https" } else { "http" }.to_owned()),
        ("version", version.to_owned()),
        ("method", http.method.clone()),
        ("path", http.path.clone()),
        ("host", or_none(http.host.as_ref())),
        ("headers", list(&headers)),
        ("status", list(&http.status)),
        ("body", or_none(body)),
        ("body_sha256", or_none::<String>(digest)),
        ("max_body", http.max_body.to_string()),
        ("sni", or_none(tls.sni)),
        ("ca_file", or_none(tls.ca_file.as_deref().map(file))),
        ("insecure", tls.insecure.to_string()),
        ("client_certificate", or_none(certificate.as_deref().map(file))),
        ("client_key", or_none(key.as_deref().map(file))),
    ]
}

fn persistence(it: &Persistence) -> String {
    let Persistence { timeout, prefix_v4, prefix_v6 } = it;
    let timeout = duration(*timeout);
    format!("{{ timeout = {timeout}, prefix_v4 = {prefix_v4}, prefix_v6 = {prefix_v6} }}")
}

fn initially(it: Initially) -> &'static str {
    match it {
        Initially::Up => "up",
        Initially::Down => "down",
    }
}

fn or_none<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn list<T: Display>(values: &[T]) -> String {
    let values: Vec<_> = values.iter().map(ToString::to_string).collect();
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}

fn duration(value: Duration) -> String {
    if value.is_zero() { "0s".to_owned() } else { format!("{value:?}") }
}

fn file(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// Free text, so that one sees where it begins and ends.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests;
