//! The types whose conversation is known: `type = "smtp"` and so on.

use tidegate_checkers::{Login, Preset, Spec};

use super::login;
use super::security::{self, IMPLICIT, Mode, NONE, START_TLS};
use crate::config::Context;
use crate::config::director::host_name;
use crate::config::reader::Table;
use crate::config::values::text_that;

/// What is only SMTP's.
pub(super) const HELO: [&str; 1] = ["helo"];

pub(super) fn read(preset: Preset, table: &mut Table<'_>, context: &mut Context) -> Spec {
    let words: &[_] = if preset.has_start_tls() { &[NONE, IMPLICIT, START_TLS] } else { &[NONE, IMPLICIT] };
    let default = if preset == Preset::Submission { Mode::StartTls } else { Mode::None };
    let security = security::read(table, words, default, context);
    let login: Option<Login> = login::read(table, preset.needs_user(), context);
    let helo = matches!(preset, Preset::Smtp | Preset::Submission)
        .then(|| table.take("helo", text_that(is_helo, "a host's name or an address in brackets")))
        .flatten();
    let helo = helo.map_or_else(host_name, |it| it.value);
    Spec::Dialogue(Box::new(preset.dialogue(security, login.as_ref(), &helo)))
}

/// A domain or an address literal (RFC 5321 §4.1.3), as far as it cannot break the line.
fn is_helo(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
