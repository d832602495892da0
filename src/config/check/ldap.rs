//! `type = "ldap"`

use tidegate_checkers::{LdapFilter, LdapScope, LdapSearch, LdapSpec, Security, Spec};
use toml::de::DeValue;

use super::login;
use super::security::{self, IMPLICIT, Mode, NONE, START_TLS};
use crate::config::Context;
use crate::config::reader::Table;
use crate::config::show::{self, or_none};
use crate::config::values::{integer, one_of, parsed, string, text};

pub(super) const KEYS: [&str; 4] = ["base", "scope", "filter", "min_entries"];

const SCOPES: [(&str, LdapScope); 3] =
    [("base", LdapScope::Base), ("one", LdapScope::One), ("sub", LdapScope::Sub)];

/// None where a search cannot be made out.
pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Option<Spec> {
    let security = security::read(table, &[NONE, IMPLICIT, START_TLS], Mode::None, context);
    let login = login::read(table, true, context);
    let search = if table.has("base") {
        Some(search(table)?)
    } else {
        for key in &KEYS[1..] {
            table.refuse(key, format!("`{key}` needs `base`"));
        }
        None
    };
    Some(Spec::Ldap(Box::new(LdapSpec { login, search, security })))
}

fn search(table: &mut Table<'_>) -> Option<LdapSearch> {
    let base = table.take("base", name);
    let filter = table.take("filter", parsed::<LdapFilter>("a filter such as \"(uid=probe)\""));
    let scope = table.take("scope", one_of(&SCOPES));
    let min_entries = table.take("min_entries", integer(0..=1000));
    Some(LdapSearch {
        base: base?.value,
        scope: scope.map_or(LdapScope::Base, |it| it.value),
        filter: filter.map(|it| it.value).unwrap_or_default(),
        min_entries: min_entries.map_or(1, |it| it.value),
    })
}

/// A distinguished name, which may be empty.
fn name(value: &DeValue<'_>) -> Result<String, String> {
    if string(value)?.is_empty() { Ok(String::new()) } else { text(1024)(value) }
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &LdapSpec) -> Vec<(&'static str, String)> {
    let (word, tls) = match &spec.security {
        Security::None => ("none", None),
        Security::Tls(tls) => ("implicit", Some(tls)),
        Security::StartTls(tls) => ("starttls", Some(tls)),
    };
    let mut answers = security::question(word, tls);
    answers.push(("user", or_none(spec.login.as_ref().map(|login| show::quoted(&login.name)))));
    if let Some(search) = &spec.search {
        let scope = SCOPES.iter().find(|(_, scope)| *scope == search.scope).map_or("", |(word, _)| word);
        answers.extend([
            ("base", show::quoted(&search.base)),
            ("scope", scope.to_owned()),
            ("filter", show::quoted(&search.filter.to_string())),
            ("min_entries", search.min_entries.to_string()),
        ]);
    }
    answers
}
