//! `type = "radius"`

use tidegate_checkers::{RadiusAttribute, RadiusCode, RadiusMethod, RadiusRequest, RadiusSpec, Secret, Spec};
use toml::de::DeValue;

use super::login;
use crate::config::Context;
use crate::config::reader::Table;
use crate::config::secret::secret;
use crate::config::show::{list, quoted};
use crate::config::values::{boolean, describe, integer, one_of};

pub(super) const KEYS: [&str; 7] =
    ["request", "secret", "secret_file", "attributes", "expect", "reply", "require_message_authenticator"];

/// The longest User-Name (RFC 2865 §5) and the longest User-Password (§5.2), in bytes.
const MAX_USER: usize = 253;
const MAX_PASSWORD: usize = 128;

const REQUESTS: [(&str, Request); 5] = [
    ("status", Request::Status),
    ("pap", Request::Access(RadiusMethod::Pap)),
    ("chap", Request::Access(RadiusMethod::Chap)),
    ("mschapv2", Request::Access(RadiusMethod::MsChapV2)),
    ("accounting", Request::Accounting),
];

const REPLIES: [(&str, RadiusCode); 4] = [
    ("accept", RadiusCode::ACCESS_ACCEPT),
    ("reject", RadiusCode::ACCESS_REJECT),
    ("challenge", RadiusCode::ACCESS_CHALLENGE),
    ("accounting-response", RadiusCode::ACCOUNTING_RESPONSE),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    Status,
    Access(RadiusMethod),
    Accounting,
}

/// None without a secret, or without a user where one is needed.
pub(super) fn read(table: &mut Table<'_>, context: &Context) -> Option<Spec> {
    let request = table.require("request", one_of(&REQUESTS)).map(|it| it.value);
    if !table.has("secret") && !table.has("secret_file") && table.whole() {
        table
            .note(table.place, "[[virtual_server.check]] of type \"radius\" needs `secret` or `secret_file`");
    }
    let shared = secret(table, "secret", "secret_file", context).map(|it| it.value);
    let attributes = attribute_table(table, "attributes", "attributes = { NAS-Identifier = \"lb1\" }");
    let reply = attribute_table(table, "reply", "reply = { Filter-Id = \"staff\" }");
    let expected: Vec<_> = table.list("expect", one_of(&REPLIES)).into_iter().map(|it| it.value).collect();
    let message_authenticator =
        table.take("require_message_authenticator", boolean).is_none_or(|it| it.value);
    if let Some(Request::Status | Request::Accounting) = request {
        for key in login::KEYS {
            table.refuse(
                key,
                format!("`{key}` belongs to an Access-Request: \"pap\", \"chap\" or \"mschapv2\""),
            );
        }
    }
    let request = match request? {
        Request::Status => RadiusRequest::Status,
        Request::Accounting => RadiusRequest::Accounting,
        Request::Access(method) => access(table, method, context)?,
    };
    let expected = match (&request, expected.is_empty()) {
        (_, false) => expected,
        (RadiusRequest::Access { .. }, true) => vec![RadiusCode::ACCESS_ACCEPT],
        (RadiusRequest::Accounting, true) => vec![RadiusCode::ACCOUNTING_RESPONSE],
        // By the port that is asked (RFC 5997 §3).
        (RadiusRequest::Status, true) => vec![RadiusCode::ACCESS_ACCEPT, RadiusCode::ACCOUNTING_RESPONSE],
    };
    let spec = RadiusSpec { request, secret: shared?, attributes, expected, reply, message_authenticator };
    Some(Spec::Radius(Box::new(spec)))
}

fn access(table: &mut Table<'_>, method: RadiusMethod, context: &Context) -> Option<RadiusRequest> {
    if !table.has("user") && table.whole() {
        table.note(table.place, "an Access-Request needs `user`, and `password` or `password_file`");
    }
    let login = login::read(table, true, context)?;
    let (user, password): (String, Secret) = (login.name, login.password);
    if user.len() > MAX_USER {
        table.note(table.place, format!("`user` must have at most {MAX_USER} bytes in RADIUS"));
    }
    if method == RadiusMethod::Pap && password.expose().len() > MAX_PASSWORD {
        table.note(table.place, format!("a password must have at most {MAX_PASSWORD} bytes for \"pap\""));
    }
    Some(RadiusRequest::Access { user, password, method })
}

fn attribute_table(table: &mut Table<'_>, key: &'static str, example: &'static str) -> Vec<RadiusAttribute> {
    let one = |name: &str, value: &DeValue<'_>| match value {
        DeValue::String(text) => RadiusAttribute::text(name, text),
        DeValue::Integer(_) => RadiusAttribute::integer(name, integer(0..=u64::from(u32::MAX))(value)?),
        other => Err(format!("the attribute {name} must be a string or an integer, not {}", describe(other))),
    };
    table.table(key, example).map(|table| table.free(one)).unwrap_or_default()
}

/// The answers of [`super::question`], without what is secret.
pub(super) fn question(spec: &RadiusSpec) -> Vec<(&'static str, String)> {
    let (request, user) = match &spec.request {
        RadiusRequest::Status => (Request::Status, None),
        RadiusRequest::Accounting => (Request::Accounting, None),
        RadiusRequest::Access { user, method, .. } => (Request::Access(*method), Some(user)),
    };
    let request = REQUESTS.iter().find(|(_, it)| *it == request).map_or("", |(name, _)| name);
    let mut answers = vec![
        ("request", request.to_owned()),
        ("secret", "(secret)".to_owned()),
        ("attributes", list(&spec.attributes)),
        ("expect", list(&spec.expected)),
        ("reply", list(&spec.reply)),
        ("require_message_authenticator", spec.message_authenticator.to_string()),
    ];
    if let Some(user) = user {
        answers.extend([("user", quoted(user)), ("password", "(secret)".to_owned())]);
    }
    answers
}
