//! `type = "mqtt"`

use tidegate_checkers::{MqttSpec, Security, Spec};

use super::login;
use super::security::{self, IMPLICIT, Mode, NONE};
use crate::config::Context;
use crate::config::reader::Table;
use crate::config::show::{self, or_none};

pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Spec {
    let login = login::read(table, true, context);
    let tls = match security::read(table, &[NONE, IMPLICIT], Mode::None, context) {
        Security::None => None,
        Security::Tls(tls) | Security::StartTls(tls) => Some(tls),
    };
    Spec::Mqtt(Box::new(MqttSpec { login, tls }))
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &MqttSpec) -> Vec<(&'static str, String)> {
    let word = if spec.tls.is_some() { "implicit" } else { "none" };
    let mut answers = security::question(word, spec.tls.as_ref());
    answers.push(("user", or_none(spec.login.as_ref().map(|login| show::quoted(&login.name)))));
    answers
}
