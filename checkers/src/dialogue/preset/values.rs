//! What is put into what is said.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Login;
use crate::Secret;

/// What stands in the place of braces.
pub(super) struct Values {
    values: [(&'static str, String); 6],
    pub(super) hidden: Vec<Secret>,
}

impl Values {
    pub(super) fn new(helo: &str, login: Option<&Login>) -> Self {
        let (name, password) = login.map_or(("", ""), |login| (&login.name, login.password.expose()));
        let plain = BASE64_STANDARD.encode(format!("\0{name}\0{password}"));
        let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let hidden = [password.to_owned(), quote(password).trim_matches('"').to_owned(), plain.clone()];
        let hidden = if login.is_some() { hidden.map(Secret::new).to_vec() } else { Vec::new() };
        let values = [
            ("{helo}", helo.to_owned()),
            ("{name}", name.to_owned()),
            ("{password}", password.to_owned()),
            // What SASL calls PLAIN (RFC 4616).
            ("{plain}", plain),
            (
                "{quoted}",
                if name.is_empty() {
                    quote(password)
                } else {
                    format!("{} {}", quote(name), quote(password))
                },
            ),
            ("{length}", (name.len() + 1 + password.len()).to_string()),
        ];
        Self { values, hidden }
    }

    /// A value is put in once and not looked into, whatever braces it has.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            filled += before;
            let value = self.values.iter().find(|(name, _)| from.starts_with(name));
            let (name, value) = value.map_or(("{", "{"), |(name, value)| (name, value));
            filled += value;
            rest = &from[name.len()..];
        }
        filled + rest
    }
}
