//! The keys of a check that speak HTTP and TLS.

use std::path::PathBuf;

use regex::{Regex, RegexBuilder};
use tidegate_checkers::{
    Body, HttpSpec, HttpVersion, PemFile, StatusRange, TlsSpec, is_header, is_host, is_method, is_path,
    is_server_name,
};
use toml::de::DeValue;

use super::Context;
use super::place::At;
use super::reader::Table;
use super::values::{boolean, integer, one_of, quoted, sha256, statuses, string, text_that};

/// What belongs to checks of type http and https.
pub(super) const HTTP_KEYS: [&str; 9] =
    ["method", "path", "host", "headers", "version", "status", "body", "body_sha256", "max_body"];
/// What belongs to checks of type https only.
pub(super) const HTTPS_KEYS: [&str; 5] = ["sni", "ca_file", "insecure", "client_certificate", "client_key"];

/// The most that a compiled expression may take, in bytes.
const REGEX_SIZE: usize = 1 << 20;
const DEFAULT_MAX_BODY: usize = 64 << 10;
const MAX_BODY: u64 = 16 << 20;

/// What is written, of the check or of the defaults.
#[derive(Debug, Clone, Default)]
pub(super) struct HttpKeys {
    method: Option<At<String>>,
    path: Option<At<String>>,
    host: Option<At<String>>,
    headers: Option<Vec<(String, String)>>,
    version: Option<At<HttpVersion>>,
    status: Option<Vec<StatusRange>>,
    body: Option<Body>,
    max_body: Option<At<usize>>,
}

/// The same for TLS.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsKeys {
    sni: Option<At<String>>,
    ca_file: Option<At<PathBuf>>,
    insecure: Option<At<bool>>,
    client_certificate: Option<(PathBuf, PathBuf)>,
}

impl HttpKeys {
    pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Self {
        let status = table.list("status", statuses);
        Self {
            method: table.take("method", text_that(is_method, "a request method such as \"GET\"")),
            path: table
                .take("path", text_that(is_path, "a path that begins with / such as \"/health?deep=1\"")),
            host: table.take("host", text_that(is_host, "a host's name or address")),
            headers: table.table("headers", "headers = { name = \"value\" }").map(headers),
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

    pub(super) fn or(self, defaults: &Self) -> Self {
        Self {
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

    pub(super) fn into_spec(self, tls: Option<TlsKeys>) -> HttpSpec {
        HttpSpec {
            tls: tls.map(TlsKeys::into_spec),
            version: self.version.map_or(HttpVersion::Http11, |it| it.value),
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

impl TlsKeys {
    pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Self {
        let keys = Self {
            sni: table.take("sni", text_that(is_server_name, "a server's name or address")),
            ca_file: table.take("ca_file", |value| context.pem_file(value, PemFile::Roots)),
            insecure: table.take("insecure", boolean),
            client_certificate: None,
        };
        let alone = match (table.has("client_certificate"), table.has("client_key")) {
            (true, false) => Some(("client_certificate", "client_key")),
            (false, true) => Some(("client_key", "client_certificate")),
            _ => None,
        };
        if let Some((written, missing)) = alone {
            table.refuse(written, format!("`{written}` needs `{missing}`"));
        }
        let certificate = table.take("client_certificate", |value| context.pem_file(value, PemFile::Chain));
        let key = table.take("client_key", |value| context.pem_file(value, PemFile::Key));
        Self { client_certificate: certificate.zip(key).map(|(it, key)| (it.value, key.value)), ..keys }
    }

    pub(super) fn or(self, defaults: &Self) -> Self {
        Self {
            sni: self.sni.or_else(|| defaults.sni.clone()),
            ca_file: self.ca_file.or_else(|| defaults.ca_file.clone()),
            insecure: self.insecure.or_else(|| defaults.insecure.clone()),
            client_certificate: self.client_certificate.or_else(|| defaults.client_certificate.clone()),
        }
    }

    fn into_spec(self) -> TlsSpec {
        TlsSpec {
            sni: self.sni.map(|it| it.value),
            ca_file: self.ca_file.map(|it| it.value),
            insecure: self.insecure.is_some_and(|it| it.value),
            client_certificate: self.client_certificate,
        }
    }
}

fn headers(table: Table<'_>) -> Vec<(String, String)> {
    let one = |name: &str, value: &DeValue<'_>| -> Result<Vec<(String, String)>, String> {
        let values = match value {
            DeValue::Array(values) => values.iter().map(|it| string(it.get_ref())).collect(),
            value => string(value).map(|it| vec![it]),
        };
        let pair = |value: &str| {
            if is_header(name, value) {
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
    table.free(one).into_iter().flatten().collect()
}

fn body(table: &mut Table<'_>, context: &mut Context) -> Option<Body> {
    if table.has("body") && table.has("body_sha256") {
        table.refuse("body_sha256", "`body_sha256` and `body` exclude each other");
    }
    let expression = table.take("body", |value| context.regex(string(value)?));
    let digest = table.take("body_sha256", sha256);
    expression.map(|it| Body::Matches(it.value)).or(digest.map(|it| Body::Sha256(it.value)))
}

/// An expression, or the reason why it is none.
pub(super) fn compile(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(REGEX_SIZE).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("must be an expression that takes no more than {limit} bytes when compiled")
        }
        error => {
            // The last line of several says why; the others show the expression.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            format!("must be a regular expression: {}", reason.trim_start_matches("error: "))
        }
    })
}

impl Context {
    /// The path of a file that a check can use, relative to the folder of the configuration. A check with one that it
    /// cannot use would never run, and so never find out that its server has died.
    fn pem_file(&mut self, value: &DeValue<'_>, kind: PemFile) -> Result<PathBuf, String> {
        let written = string(value)?;
        let Some(folder) = &self.folder else { return Ok(PathBuf::from(written)) };
        let path = folder.join(written);
        let usable = self.pem_files.entry((path.clone(), kind)).or_insert_with(|| kind.probe(&path));
        match usable {
            Ok(()) => Ok(path),
            Err(error) => Err(format!("must be a file that can be used: {error}")),
        }
    }
}
