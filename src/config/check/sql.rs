//! `type = "mysql"` and `type = "postgres"`

use tidegate_checkers::{Login, Secret, Spec, SqlProtocol, SqlSpec};

use super::security::{self, START_TLS};
use crate::config::Context;
use crate::config::reader::Table;
use crate::config::secret::secret;
use crate::config::show::{self, or_none};
use crate::config::values::{string, text};

pub(super) const KEYS: [&str; 3] = ["database", "query", "expect"];

/// None without a user. The password may be empty.
pub(super) fn read(protocol: SqlProtocol, table: &mut Table<'_>, context: &mut Context) -> Option<Spec> {
    let name = table.require("user", text(128));
    let password = secret(table, "password", "password_file", context);
    if table.has("expect") && !table.has("query") {
        table.refuse("expect", "`expect` needs `query`");
    }
    let query = table.take("query", text(4096)).map(|it| it.value);
    let expect = table.take("expect", |value| context.pattern(string(value)?)).map(|it| it.value);
    let database = table.take("database", text(128)).map(|it| it.value);
    let tls = security::read_one(table, START_TLS, context);
    let password = password.map_or_else(Secret::default, |it| it.value);
    let login = Login { name: name?.value, password };
    Some(Spec::Sql(Box::new(SqlSpec { protocol, login, database, query, expect, tls })))
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &SqlSpec) -> Vec<(&'static str, String)> {
    let mut answers = security::question_of_one(START_TLS, spec.tls.as_ref());
    answers.extend([
        ("user", show::quoted(&spec.login.name)),
        ("database", or_none(spec.database.as_deref().map(show::quoted))),
        ("query", or_none(spec.query.as_deref().map(show::quoted))),
        ("expect", or_none(spec.expect.as_ref().map(|it| show::quoted(it.0.as_str())))),
    ]);
    answers
}
