//! TLS around or within a check's connection.

use std::path::PathBuf;

use tidegate_checkers::{PemFile, TlsSpec, is_server_name};
use toml::de::DeValue;

use crate::config::Context;
use crate::config::place::At;
use crate::config::reader::Table;
use crate::config::show::{file, or_none};
use crate::config::values::{boolean, string, text_that};

pub(super) const KEYS: [&str; 5] = ["sni", "ca_file", "insecure", "client_certificate", "client_key"];

/// What is written, of the check or of the defaults.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsKeys {
    sni: Option<At<String>>,
    ca_file: Option<At<PathBuf>>,
    insecure: Option<At<bool>>,
    client_certificate: Option<(PathBuf, PathBuf)>,
}

pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> TlsSpec {
    TlsKeys::read(table, context).or(&context.defaults.tls).into_spec()
}

/// Refuses what means nothing without TLS; `on` is what would turn it on.
pub(super) fn refuse(table: &mut Table<'_>, on: &str) {
    for key in KEYS {
        table.refuse(key, format!("`{key}` means nothing without `{on}`"));
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

    fn or(self, defaults: &Self) -> Self {
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

/// The answers of [`super::question`].
pub(super) fn question(tls: &TlsSpec) -> [(&'static str, String); 5] {
    let (certificate, key) = tls.client_certificate.clone().unzip();
    [
        ("sni", or_none(tls.sni.as_ref())),
        ("ca_file", or_none(tls.ca_file.as_deref().map(file))),
        ("insecure", tls.insecure.to_string()),
        ("client_certificate", or_none(certificate.as_deref().map(file))),
        ("client_key", or_none(key.as_deref().map(file))),
    ]
}

impl Context {
    /// The path of a file that a check can use, relative to the folder of the configuration. A check with one that it
    /// cannot use would never run, and so never find out that its server has died.
    fn pem_file(&mut self, value: &DeValue<'_>, kind: PemFile) -> Result<PathBuf, String> {
        let written = string(value)?;
        let Some(folder) = self.folder() else { return Ok(PathBuf::from(written)) };
        let path = folder.join(written);
        let usable = self.pem_files.entry((path.clone(), kind)).or_insert_with(|| kind.probe(&path));
        match usable {
            Ok(()) => Ok(path),
            Err(error) => Err(format!("must be a file that can be used: {error}")),
        }
    }
}
