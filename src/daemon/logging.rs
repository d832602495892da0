//! Where log lines go: standard error, through a thread of its own, so that a slow reader of the log delays nobody.
//!
//! One schema in both formats: the message says what happened and what happens next; `virtual_server`,
//! `real_server`, `check`, `listen` name the subject; `reason` or `error` says why.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use crate::config::{Log, LogFormat, LogLevel};

// Lines that wait for a slow reader. Beyond them lines are lost.
const WAITING_LINES: usize = 4 * 1024;

/// Starts logging. Lines that wait are written when the guard is dropped.
pub(super) fn start(log: &Log) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(std::io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_target(false)
        .with_max_level(level(log.level))
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    // Whoever embeds the daemon may have set up logging already; then that stays.
    let _already_set = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    guard
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
