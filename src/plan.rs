//! What a reload would change. Pure.
//!
//! A configuration is described as sections of named values; two descriptions are compared. The daemon hands out
//! the description of what runs, the command line makes that of a file.

mod vrrp;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use tidegate_engine::{Initially, Mode};

use crate::config::show::{duration, file, list, or_none, quoted};
use crate::config::{Check, Dataplane, Director, Model, Persistence, VirtualServer, question};

/// The keys of `[director]` that a reload applies; the others are fixed at the start.
const RELOADED: [&str; 2] = ["id", "shutdown_grace"];

const DIRECTOR: &str = "director";

/// A configuration as sections of named values.
///
/// Sections are `director`, `virtual server NAME`, `virtual server NAME, check NAME`,
/// `virtual server NAME, real server ADDRESS`, `virtual router NAME`, `track NAME`.
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
        for it in &model.virtual_routers {
            description.add(format!("virtual router {}", it.router.name), vrrp::router(it));
        }
        for (key, watch) in &model.watches {
            description.add(format!("track {key}"), vrrp::watch(watch));
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
            ("overload.mode", overload(it.overload).to_owned()),
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

fn director(it: &Director) -> [(&'static str, String); 13] {
    [
        ("id", quoted(&it.id)),
        ("control_socket", file(&it.control_socket)),
        ("control_group", or_none(it.control_group.as_deref().map(quoted))),
        ("shutdown_grace", duration(it.shutdown_grace)),
        ("resync_interval", duration(it.resync_interval)),
        ("proxy_threads", or_none(it.proxy_threads)),
        ("max_concurrent_checks", it.max_concurrent_checks.to_string()),
        ("max_concurrent_scripts", it.max_concurrent_scripts.to_string()),
        ("state_file", or_none(it.state_file.as_deref().map(file))),
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

fn persistence(it: &Persistence) -> String {
    let Persistence { timeout, prefix_v4, prefix_v6 } = it;
    let timeout = duration(*timeout);
    format!("{{ timeout = {timeout}, prefix_v4 = {prefix_v4}, prefix_v6 = {prefix_v6} }}")
}

/// As it is written.
pub(crate) fn overload(it: Mode) -> &'static str {
    match it {
        Mode::Protect => "protect",
        Mode::Observe => "observe",
        Mode::Off => "off",
    }
}

fn initially(it: Initially) -> &'static str {
    match it {
        Initially::Up => "up",
        Initially::Down => "down",
    }
}

#[cfg(test)]
mod tests;
