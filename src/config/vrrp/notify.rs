//! `notify = ["/etc/tidegate/notify"]`, or `{ command = […], user = "…", timeout = "…" }`

use std::time::Duration;

use crate::config::command;
use crate::config::model::Notify;
use crate::config::reader::Table;
use crate::config::values::duration;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(3600);

pub(super) fn read(table: &mut Table<'_>) -> Option<Notify> {
    if !table.has_table("notify") {
        let arguments = command::arguments(table, "notify")?;
        return Some(Notify { command: command::of(arguments, None), timeout: DEFAULT_TIMEOUT });
    }
    let mut table = table.table("notify", "notify = { command = [\"…\"] }")?;
    let command = command::read(&mut table);
    let timeout = table.take("timeout", duration(Duration::from_millis(1)..=LONGEST));
    table.finish();
    Some(Notify { command: command?, timeout: timeout.map_or(DEFAULT_TIMEOUT, |it| it.value) })
}
