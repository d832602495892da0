//! `type = "http"` and `type = "https"`

use tidegate_checkers::{
    Body, HttpSpec, HttpVersion, Spec, StatusRange, TlsSpec, is_header, is_host, is_method, is_path,
    is_tunnel,
};
use toml::de::DeValue;

use super::tls;
use crate::config::Context;
use crate::config::place::At;
use crate::config::reader::Table;
use crate::config::show::{self, or_none};
use crate::config::values::{integer, one_of, quoted, sha256, statuses, string, text_that};

pub(super) const KEYS: [&str; 10] =
    ["tunnel", "method", "path", "host", "headers", "version", "status", "body", "body_sha256", "max_body"];

const DEFAULT_MAX_BODY: usize = 64 << 10;
const MAX_BODY: u64 = 16 << 20;

/// What is written, of the check or of the defaults.
#[derive(Debug, Clone, Default)]
pub(super) struct HttpKeys {
    tunnel: Option<At<String>>,
    method: Option<At<String>>,
    path: Option<At<String>>,
    host: Option<At<String>>,
    headers: Option<Vec<(String, String)>>,
    version: Option<At<HttpVersion>>,
    status: Option<Vec<StatusRange>>,
    body: Option<Body>,
    max_body: Option<At<usize>>,
}

/// With `secure` it is HTTPS.
pub(super) fn read(table: &mut Table<'_>, secure: bool, context: &mut Context) -> Spec {
    let keys = HttpKeys::read(table, context).or(&context.defaults.http);
    let tls = secure.then(|| tls::read(table, context));
    Spec::Http(Box::new(keys.into_spec(tls)))
}

impl HttpKeys {
    pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Self {
        let status = table.list("status", statuses);
        Self {
            tunnel: table
                .take("tunnel", text_that(is_tunnel, "a host and a port such as \"www.example.com:443\"")),
            method: table.take("method", text_that(is_method, "a request method such as \"GET\"")),
            path: table
                .take("path", text_that(is_path, "a path that begins with / such as \"/health?deep=1\"")),
            host: table.take("host", text_that(is_host, "a host's name or address")),
            headers: headers(table, is_header),
            version: table.take(
                "version",
                one_of(&[
                    ("1.0", HttpVersion::Http10),
                    ("1.1", HttpVersion::Http11),
                    ("2", HttpVersion::Http2),
                ]),
            ),
            status: (!status.is_empty()).then(|| status.into_iter().flat_map(|it| it.value).collect()),
            body: body(table, context),
            max_body: table.take("max_body", integer(1..=MAX_BODY)),
        }
    }

    fn or(self, defaults: &Self) -> Self {
        Self {
            tunnel: self.tunnel.or_else(|| defaults.tunnel.clone()),
            method: self.method.or_else(|| defaults.method.clone()),
            path: self.path.or_else(|| defaults.path.clone()),
            host: self.host.or_else(|| defaults.host.clone()),
            headers: self.headers.or_else(|| defaults.headers.clone()),
            version: self.version.or_else(|| defaults.version.clone()),
            status: self.status.or_else(|| defaults.status.clone()),
            body: self.body.or_else(|| defaults.body.clone()),
            max_body: self.max_body.or_else(|| defaults.max_body.clone()),
        }
    }

    fn into_spec(self, tls: Option<TlsSpec>) -> HttpSpec {
        HttpSpec {
            tls,
            version: self.version.map_or(HttpVersion::Http11, |it| it.value),
            tunnel: self.tunnel.map(|it| it.value),
            method: self.method.map_or_else(|| "GET".to_owned(), |it| it.value),
            path: self.path.map_or_else(|| "/".to_owned(), |it| it.value),
            host: self.host.map(|it| it.value),
            headers: self.headers.unwrap_or_default(),
            status: self.status.unwrap_or_else(|| vec![StatusRange { first: 200, last: 299 }]),
            body: self.body,
            max_body: self.max_body.map_or(DEFAULT_MAX_BODY, |it| it.value),
        }
    }
}

/// The answers of [`super::question`].
pub(super) fn question(http: &HttpSpec) -> Vec<(&'static str, String)> {
    let (body, digest) = match &http.body {
        None => (None, None),
        Some(Body::Matches(regex)) => (Some(show::quoted(regex.as_str())), None),
        Some(Body::Sha256(digest)) => (None, Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())),
    };
    let version = match http.version {
        HttpVersion::Http10 => "1.0",
        HttpVersion::Http11 => "1.1",
        HttpVersion::Http2 => "2",
    };
    let mut answers = vec![
        ("version", version.to_owned()),
        ("tunnel", or_none(http.tunnel.as_ref())),
        ("method", http.method.clone()),
        ("path", http.path.clone()),
        ("host", or_none(http.host.as_ref())),
        ("headers", shown_headers(&http.headers)),
        ("status", show::list(&http.status)),
        ("body", or_none(body)),
        ("body_sha256", or_none::<String>(digest)),
        ("max_body", http.max_body.to_string()),
    ];
    answers.extend(http.tls.iter().flat_map(tls::question));
    answers
}

pub(super) fn shown_headers(headers: &[(String, String)]) -> String {
    let shown: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name} = {}", show::quoted(value))).collect();
    show::list(&shown)
}

/// Headers that `accept` likes.
pub(super) fn headers(
    table: &mut Table<'_>,
    accept: fn(&str, &str) -> bool,
) -> Option<Vec<(String, String)>> {
    let table = table.table("headers", "headers = { name = \"value\" }")?;
    let one = |name: &str, value: &DeValue<'_>| -> Result<Vec<(String, String)>, String> {
        let values = match value {
            DeValue::Array(values) => values.iter().map(|it| string(it.get_ref())).collect(),
            value => string(value).map(|it| vec![it]),
        };
        let pair = |value: &str| {
            if accept(name, value) {
                Ok((name.to_owned(), value.to_owned()))
            } else {
                Err(format!(
                    "a check cannot send the header {} with the value {}",
                    quoted(name),
                    quoted(value)
                ))
            }
        };
        values.map_err(|why| format!("header {} {why}", quoted(name)))?.into_iter().map(pair).collect()
    };
    Some(table.free(one).into_iter().flatten().collect())
}

fn body(table: &mut Table<'_>, context: &mut Context) -> Option<Body> {
    if table.has("body") && table.has("body_sha256") {
        table.refuse("body_sha256", "`body_sha256` and `body` exclude each other");
    }
    let expression = table.take("body", |value| context.regex(string(value)?));
    let digest = table.take("body_sha256", sha256);
    expression.map(|it| Body::Matches(it.value)).or(digest.map(|it| Body::Sha256(it.value)))
}
