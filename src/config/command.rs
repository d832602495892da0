//! Programs that are run: `command = ["/usr/local/bin/check", "-q"]`, and `user = "nobody"`

use nix::unistd::geteuid;
use tidegate_checkers::{Command, User};
use toml::de::DeValue;

use super::place::At;
use super::reader::Table;
use super::values::{string, text};

/// Whom programs run as unless the configuration says otherwise.
const NOBODY: &str = "nobody";
/// Arguments, the program included.
const MOST: usize = 64;

/// `command` and `user`; none when the command is missing or wrong, which is noted.
pub(super) fn read(table: &mut Table<'_>) -> Option<Command> {
    let user = table.take("user", user);
    if !table.has("command") && table.whole() {
        table
            .note(table.place, "`command` is missing: the program and its arguments, [\"/usr/local/bin/…\"]");
    }
    Some(of(arguments(table, "command")?, user))
}

/// As the user that is written, or as nobody by a director that may choose.
pub(super) fn of(arguments: Vec<String>, user: Option<At<User>>) -> Command {
    let user = user.map(|it| it.value).or_else(|| find(NOBODY).filter(|_| geteuid().is_root()));
    Command { arguments, user }
}

/// An absolute path and arguments.
pub(super) fn arguments(table: &mut Table<'_>, key: &'static str) -> Option<Vec<String>> {
    let before = table.mistakes();
    let arguments = table.list(key, text(4096));
    let first = arguments.first()?;
    if !first.value.starts_with('/') {
        table.note(first.place, format!("`{key}` must begin with the absolute path of a program"));
    }
    if let Some(beyond) = arguments.get(MOST) {
        table.note(beyond.place, format!("`{key}` has more than {MOST} arguments"));
    }
    (table.mistakes() == before).then(|| arguments.into_iter().map(|it| it.value).collect())
}

fn user(value: &DeValue<'_>) -> Result<User, String> {
    let name = string(value)?;
    find(name).ok_or_else(|| format!("must be a user of this system, not {name:?}"))
}

fn find(name: &str) -> Option<User> {
    let found = nix::unistd::User::from_name(name).ok().flatten()?;
    Some(User { name: found.name, uid: found.uid.as_raw(), gid: found.gid.as_raw() })
}
