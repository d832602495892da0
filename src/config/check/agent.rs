//! `type = "agent"`

use tidegate_checkers::{AgentSpec, Spec};

use super::security::{self, IMPLICIT};
use crate::config::Context;
use crate::config::reader::Table;
use crate::config::show;
use crate::config::values::string;

pub(super) const KEYS: [&str; 1] = ["send"];

const MOST: usize = 1024;

pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Spec {
    let send = table.take("send", |value| match string(value)? {
        text if text.len() <= MOST => Ok(text.to_owned()),
        text => Err(format!("must have at most {MOST} bytes, not {}", text.len())),
    });
    let tls = security::read_one(table, IMPLICIT, context);
    Spec::Agent(Box::new(AgentSpec { send: send.map(|it| it.value).unwrap_or_default(), tls }))
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &AgentSpec) -> Vec<(&'static str, String)> {
    let mut answers = security::question_of_one(IMPLICIT, spec.tls.as_ref());
    answers.push(("send", show::quoted(&spec.send)));
    answers
}
