//! `type = "mqtt"`

use tidegate_checkers::{MqttSpec, Spec};

use super::login;
use super::security::{self, IMPLICIT};
use crate::config::Context;
use crate::config::reader::Table;
use crate::config::show::{self, or_none};

pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Spec {
    let login = login::read(table, true, context);
    let tls = security::read_one(table, IMPLICIT, context);
    Spec::Mqtt(Box::new(MqttSpec { login, tls }))
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &MqttSpec) -> Vec<(&'static str, String)> {
    let mut answers = security::question_of_one(IMPLICIT, spec.tls.as_ref());
    answers.push(("user", or_none(spec.login.as_ref().map(|login| show::quoted(&login.name)))));
    answers
}
