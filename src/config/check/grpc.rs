//! `type = "grpc"`

use tidegate_checkers::{GrpcSpec, Spec, is_host};

use super::security::{self, IMPLICIT};
use crate::config::Context;
use crate::config::reader::Table;
use crate::config::show::{self, or_none};
use crate::config::values::{text, text_that};

pub(super) const KEYS: [&str; 2] = ["service", "host"];

pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Spec {
    let service = table.take("service", text(255)).map(|it| it.value);
    let host = table.take("host", text_that(is_host, "a host's name or address")).map(|it| it.value);
    let tls = security::read_one(table, IMPLICIT, context);
    Spec::Grpc(Box::new(GrpcSpec { service: service.unwrap_or_default(), host, tls }))
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &GrpcSpec) -> Vec<(&'static str, String)> {
    let mut answers = security::question_of_one(IMPLICIT, spec.tls.as_ref());
    answers.extend([("service", show::quoted(&spec.service)), ("host", or_none(spec.host.as_ref()))]);
    answers
}
