//! `type = "websocket"`

use tidegate_checkers::{Spec, WebsocketSpec, is_host, is_path, is_subprotocol, is_websocket_header};

use super::http;
use super::security::{self, IMPLICIT};
use crate::config::Context;
use crate::config::reader::Table;
use crate::config::show::or_none;
use crate::config::values::text_that;

pub(super) const KEYS: [&str; 4] = ["path", "host", "headers", "subprotocol"];

pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Spec {
    let path = table.take("path", text_that(is_path, "a path that begins with / such as \"/live\""));
    let host = table.take("host", text_that(is_host, "a host's name or address"));
    let headers = http::headers(table, is_websocket_header);
    let subprotocol = table.take("subprotocol", text_that(is_subprotocol, "a name such as \"chat\""));
    Spec::Websocket(Box::new(WebsocketSpec {
        tls: security::read_one(table, IMPLICIT, context),
        path: path.map_or_else(|| "/".to_owned(), |it| it.value),
        host: host.map(|it| it.value),
        headers: headers.unwrap_or_default(),
        subprotocol: subprotocol.map(|it| it.value),
    }))
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &WebsocketSpec) -> Vec<(&'static str, String)> {
    let mut answers = security::question_of_one(IMPLICIT, spec.tls.as_ref());
    answers.extend([
        ("path", spec.path.clone()),
        ("host", or_none(spec.host.as_ref())),
        ("headers", http::shown_headers(&spec.headers)),
        ("subprotocol", or_none(spec.subprotocol.as_ref())),
    ]);
    answers
}
