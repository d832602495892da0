//! `tls = "implicit"` and so on: whether a check speaks TLS, and from when on.

use tidegate_checkers::{Security, TlsSpec};

use super::tls;
use crate::config::Context;
use crate::config::reader::Table;
use crate::config::values::one_of;

/// The key itself and those of TLS.
pub(super) const KEYS: [&str; 6] = ["tls", "sni", "ca_file", "insecure", "client_certificate", "client_key"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    None,
    Implicit,
    StartTls,
}

pub(super) const NONE: (&str, Mode) = ("none", Mode::None);
pub(super) const IMPLICIT: (&str, Mode) = ("implicit", Mode::Implicit);
pub(super) const START_TLS: (&str, Mode) = ("starttls", Mode::StartTls);

/// Reads the key, one of `words`, and what belongs to it; not written it is `default`.
pub(super) fn read(
    table: &mut Table<'_>,
    words: &[(&'static str, Mode)],
    default: Mode,
    context: &mut Context,
) -> Security {
    match table.take("tls", one_of(words)).map_or(default, |it| it.value) {
        Mode::None => {
            tls::refuse(table, "tls");
            Security::None
        }
        Mode::Implicit => Security::Tls(tls::read(table, context)),
        Mode::StartTls => Security::StartTls(tls::read(table, context)),
    }
}

/// The same for protocols that have one way to speak TLS, which is `word`.
pub(super) fn read_one(
    table: &mut Table<'_>,
    word: (&'static str, Mode),
    context: &mut Context,
) -> Option<TlsSpec> {
    match read(table, &[NONE, word], Mode::None, context) {
        Security::None => None,
        Security::Tls(tls) | Security::StartTls(tls) => Some(tls),
    }
}

/// The answers of [`super::question`] for what [`read_one`] has read.
pub(super) fn question_of_one(
    word: (&'static str, Mode),
    tls: Option<&TlsSpec>,
) -> Vec<(&'static str, String)> {
    question(tls.map_or(NONE, |_| word).0, tls)
}

/// The answers of [`super::question`].
pub(super) fn question(word: &'static str, tls: Option<&TlsSpec>) -> Vec<(&'static str, String)> {
    let mut answers = vec![("tls", word.to_owned())];
    answers.extend(tls.iter().flat_map(|tls| tls::question(tls)));
    answers
}
