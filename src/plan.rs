//! What a reload would change. Pure.
//!
//! A configuration is described as sections of named values; two descriptions are compared. The daemon hands out
//! the description of what runs, the command line makes that of a file.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};

use serde::{Deserialize, Serialize};

use tidegate_checkers::{Body, Spec};

use crate::config::{Check, Model, VirtualServer};

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
            Self::Changed { section, name, old, new } => write!(f, "~ {section}: {name} {old} -> {new}"),
        }
    }
}

impl Description {
    /// Describes a configuration.
    pub fn of(model: &Model) -> Self {
        let mut description = Self::default();
        let director = &model.director;
        description.add(
            "director".into(),
            [
                ("id", text(&director.id)),
                ("control_socket", text(&director.control_socket)),
                ("control_group", text(&director.control_group)),
                ("shutdown_grace", text(&director.shutdown_grace)),
                ("resync_interval", text(&director.resync_interval)),
                ("proxy_threads", text(&director.proxy_threads)),
                ("max_concurrent_checks", text(&director.max_concurrent_checks)),
                ("log.format", director.log.format.to_string()),
                ("log.level", director.log.level.to_string()),
            ],
        );
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
            let values =
                [("weight", text(&server.weight)), ("max_connections", text(&server.max_connections))];
            self.add(format!("{section}, real server {}", server.address), values);
        }
        self.add(
            section,
            [
                ("listen", text(&it.listen)),
                ("protocol", it.protocol.to_string()),
                ("dataplane", it.dataplane.to_string()),
                ("scheduler", it.scheduler.to_string()),
                ("scheduler_flags", it.scheduler_flags.to_string()),
                ("persistence", text(&it.persistence)),
                ("quorum", text(&it.quorum)),
                ("hysteresis", text(&it.hysteresis)),
                ("sorry_server", text(&it.sorry_server)),
                ("slow_start", text(&it.slow_start)),
                ("on_down", it.on_down.to_string()),
                ("connect_timeout", text(&it.connect_timeout)),
                ("idle_timeout", text(&it.idle_timeout)),
                (
                    "proxy_protocol",
                    it.proxy_protocol.map_or_else(|| "none".to_owned(), |version| version.to_string()),
                ),
            ],
        );
    }

    fn add_check(&mut self, section: String, check: &Check) {
        let mut question = question(&check.spec);
        question.extend(
            [
                ("port", text(&check.port)),
                ("connect_to", text(&check.connect_to)),
                ("bind", text(&check.bind)),
                ("fwmark", text(&check.fwmark)),
                ("interval", text(&check.interval)),
                ("timeout", text(&check.timeout)),
                ("rise", text(&check.rise)),
                ("fall", text(&check.fall)),
                ("initially", text(&check.initially)),
                ("only_admission", text(&check.only_admission)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        self.0.insert(section, question);
    }

    fn add<const N: usize>(&mut self, section: String, values: [(&str, String); N]) {
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

fn question(spec: &Spec) -> BTreeMap<String, String> {
    let values = match spec {
        Spec::Tcp => vec![("type", "tcp".to_owned())],
        Spec::Http(http) => {
            let tls = http.tls.clone().unwrap_or_default();
            let body = match &http.body {
                None => "none".to_owned(),
                Some(Body::Matches(regex)) => text(&regex.as_str()),
                Some(Body::Sha256(digest)) => digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            };
            let status: Vec<_> = http.status.iter().map(ToString::to_string).collect();
            vec![
                ("type", if http.tls.is_some() { "https" } else { "http" }.to_owned()),
                ("version", text(&http.version)),
                ("method", text(&http.method)),
                ("path", text(&http.path)),
                ("host", text(&http.host)),
                ("headers", text(&http.headers)),
                ("status", status.join(",")),
                ("body", body),
                ("max_body", text(&http.max_body)),
                ("sni", text(&tls.sni)),
                ("ca_file", text(&tls.ca_file)),
                ("insecure", text(&tls.insecure)),
                ("client_certificate", text(&tls.client_certificate)),
            ]
        }
    };
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

// The debug form of the model's plain values is what people write, but for case and `Some`.
fn text(value: &impl Debug) -> String {
    let mut text = String::new();
    let _infallible = write!(text, "{value:?}");
    match text.strip_prefix("Some(").and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => inner.to_owned(),
        None if text == "None" => "none".to_owned(),
        None => text,
    }
}
