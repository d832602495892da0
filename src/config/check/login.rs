//! `user` and `password`: who a check logs in as.

use tidegate_checkers::Login;

use crate::config::Context;
use crate::config::reader::Table;
use crate::config::secret::secret;
use crate::config::values::text;

pub(super) const KEYS: [&str; 3] = ["user", "password", "password_file"];

/// Both or neither; where `needs_user` is not set a password is enough.
pub(super) fn read(table: &mut Table<'_>, needs_user: bool, context: &Context) -> Option<Login> {
    let has_password = table.has("password") || table.has("password_file");
    if needs_user && has_password && !table.has("user") {
        table.note(table.place, "a `password` needs a `user`");
    }
    if table.has("user") && !has_password {
        table.note(table.place, "a `user` needs a `password` or a `password_file`");
    }
    let name = table.take("user", text(256)).map(|it| it.value);
    let password = secret(table, "password", "password_file", context)?;
    Some(Login { name: name.unwrap_or_default(), password: password.value })
}
