//! `[director]`

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::model::{Director, Ipvs, Log, LogFormat, LogLevel};
use super::reader::Table;
use super::values::{DAY, duration, integer, one_of, string, text};
use super::{Context, ipvs};

/// Where the control socket is unless the configuration says otherwise.
pub const CONTROL_SOCKET: &str = "/run/tidegate/control.sock";

/// Where what was learned is kept unless the configuration says otherwise, on hosts that have the folder.
const STATE_FILE: &str = "/var/lib/tidegate/learned.json";

/// The longest path that fits in a `sockaddr_un` (unix(7)) with its terminating zero.
const SOCKET_PATH: usize = 107;

impl Default for Director {
    fn default() -> Self {
        Self {
            id: host_name(),
            control_socket: PathBuf::from(CONTROL_SOCKET),
            control_group: None,
            shutdown_grace: Duration::from_secs(30),
            resync_interval: Duration::from_secs(10),
            proxy_threads: None,
            max_concurrent_checks: 10_000,
            max_concurrent_scripts: 32,
            state_file: None,
            log: Log { format: LogFormat::default(), level: LogLevel::default() },
            ipvs: Ipvs::default(),
        }
    }
}

pub(super) fn read(mut table: Table<'_>, context: &mut Context) -> Director {
    let mut director = Director { state_file: default_state_file(), ..Director::default() };
    if let Some(id) = table.take("id", text(64)) {
        director.id = id.value;
    }
    if let Some(path) = table.take("control_socket", socket_path) {
        director.control_socket = path.value;
    }
    director.control_group = table.take("control_group", text(64)).map(|group| group.value);
    if let Some(grace) = table.take("shutdown_grace", duration(Duration::ZERO..=DAY)) {
        director.shutdown_grace = grace.value;
    }
    if let Some(interval) = table.take("resync_interval", duration(Duration::from_millis(100)..=DAY)) {
        director.resync_interval = interval.value;
    }
    director.proxy_threads = table.take("proxy_threads", integer(1..=1024)).map(|threads| threads.value);
    if let Some(most) = table.take("max_concurrent_checks", integer(1..=1_000_000)) {
        director.max_concurrent_checks = most.value;
    }
    if let Some(most) = table.take("max_concurrent_scripts", integer(1..=10_000)) {
        director.max_concurrent_scripts = most.value;
    }
    if let Some(path) = table.take("state_file", state_file) {
        director.state_file = path.value;
    }
    if let Some(table) = table.table("log", "[director.log]") {
        director.log = log(table);
    }
    if let Some(table) = table.table("ipvs", "[director.ipvs]") {
        director.ipvs = ipvs::read(table, context);
    }
    table.finish();
    director
}

fn log(mut table: Table<'_>) -> Log {
    let format = table.take("format", one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    let level = table.take(
        "level",
        one_of(&[
            ("error", LogLevel::Error),
            ("warn", LogLevel::Warn),
            ("info", LogLevel::Info),
            ("debug", LogLevel::Debug),
            ("trace", LogLevel::Trace),
        ]),
    );
    table.finish();
    Log {
        format: format.map_or(LogFormat::default(), |it| it.value),
        level: level.map_or(LogLevel::default(), |it| it.value),
    }
}

fn socket_path(value: &DeValue<'_>) -> Result<PathBuf, String> {
    let path = string(value)?;
    if !path.starts_with('/') || path.len() > SOCKET_PATH || path.contains('\0') {
        return Err(format!("must be an absolute path of at most {SOCKET_PATH} bytes"));
    }
    Ok(PathBuf::from(path))
}

fn default_state_file() -> Option<PathBuf> {
    Some(PathBuf::from(STATE_FILE)).filter(|it| it.parent().is_some_and(Path::is_dir))
}

/// An empty one: nothing is kept.
fn state_file(value: &DeValue<'_>) -> Result<Option<PathBuf>, String> {
    match string(value)? {
        "" => Ok(None),
        path if path.starts_with('/') && !path.contains('\0') => Ok(Some(PathBuf::from(path))),
        _ => Err("must be an absolute path, or empty to keep nothing".to_owned()),
    }
}

pub(super) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}
