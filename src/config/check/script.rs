//! `type = "script"`

use tidegate_checkers::{ScriptSpec, Spec};

use crate::config::Context;
use crate::config::command;
use crate::config::reader::Table;
use crate::config::show::{self, or_none};
use crate::config::values::boolean;

pub(super) const KEYS: [&str; 3] = ["command", "user", "dynamic"];

/// None without a command.
pub(super) fn read(table: &mut Table<'_>, context: &Context) -> Option<Spec> {
    let command = command::read(table);
    let dynamic = table.take("dynamic", boolean).is_some_and(|it| it.value);
    let (virtual_server, listen) = context.served.clone();
    let (command, virtual_server) = (command?, virtual_server.to_string());
    Some(Spec::Script(Box::new(ScriptSpec { command, dynamic, virtual_server, listen })))
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &ScriptSpec) -> Vec<(&'static str, String)> {
    let arguments: Vec<_> = spec.command.arguments.iter().map(|it| show::quoted(it)).collect();
    vec![
        ("command", show::list(&arguments)),
        ("user", or_none(spec.command.user.as_ref().map(|user| &user.name))),
        ("dynamic", spec.dynamic.to_string()),
    ]
}
