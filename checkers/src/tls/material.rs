//! Certificates and keys from files. All of this blocks.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Alpn;
use super::insecure::AnyCertificate;
use crate::TlsSpec;

/// The most that is read of a file: the bundle of all public roots has a quarter of a megabyte.
const MAX_FILE: u64 = 16 << 20;

/// The system's roots, read at most once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roots(Arc<OnceLock<Result<Arc<RootCertStore>, String>>>);

impl Roots {
    fn get(&self) -> Result<Arc<RootCertStore>, String> {
        self.0.get_or_init(system_roots).clone()
    }
}

/// Reads what the spec names. An error says which file and why.
pub(crate) fn client_config(spec: &TlsSpec, alpn: Alpn, roots: &Roots) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if spec.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else {
        builder.with_root_certificates(match &spec.ca_file {
            Some(path) => file_roots(path)?,
            None => roots.get()?,
        })
    };
    let mut config = match &spec.client_certificate {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(certificates(chain)?, private_key(key)?)
            .map_err(|error| format!("{} and {}: {error}", chain.display(), key.display()))?,
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    // A resumed session would not show the certificate again, and so not that it has expired.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A file that a check may name, and what must be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PemFile {
    /// Acceptable roots.
    Roots,
    /// A client's certificate chain.
    Chain,
    /// A client's unencrypted private key.
    Key,
}

impl PemFile {
    /// Whether a check could use the file. Blocks. An error says why not.
    pub fn probe(self, path: &Path) -> Result<(), String> {
        let usable = match self {
            Self::Roots => file_roots(path).map(drop),
            Self::Chain => certificates(path).map(drop),
            Self::Key => private_key(path).map(drop),
        };
        // Whoever asks knows which file it is.
        usable.map_err(|error| match error.strip_prefix(&format!("{}: ", path.display())) {
            Some(why) => why.to_owned(),
            None => error,
        })
    }
}

fn system_roots() -> Result<Arc<RootCertStore>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems carry certificates that are too odd for the verifier; the others still count.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(format!("the system has no usable root certificates; set ca_file. {}", why.join("; ")));
    }
    Ok(Arc::new(roots))
}

fn file_roots(path: &Path) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(Arc::new(roots))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if certificates.is_empty() {
        return Err(format!("{}: no certificate in PEM format in it", path.display()));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            format!("{}: no unencrypted private key in PEM format in it", path.display())
        }
        error => format!("{}: {error}", path.display()),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| format!("{}: {error}", path.display());
    // Asked before opening, since opening a pipe would wait for its writer.
    if !path.metadata().map_err(describe)?.is_file() {
        return Err(format!("{}: not a regular file", path.display()));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(describe)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(describe)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{}: larger than {MAX_FILE} bytes", path.display()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(spec: &TlsSpec) -> String {
        client_config(spec, &[], &Roots::default()).unwrap_err()
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("empty"), "").unwrap();
        std::fs::write(path("broken"), "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n")
            .unwrap();
        for (name, why) in
            [("missing", "No such file"), ("empty", "no certificate"), ("broken", ""), (".", "regular")]
        {
            let error = error_of(&TlsSpec { ca_file: Some(path(name)), ..TlsSpec::default() });
            assert!(error.starts_with(&path(name).display().to_string()) && error.contains(why), "{error}");
        }
        let spec = TlsSpec {
            insecure: true,
            client_certificate: Some((path("empty"), path("missing"))),
            ..TlsSpec::default()
        };
        assert!(error_of(&spec).contains("empty: no certificate"));
    }

    #[test]
    fn a_device_without_end_is_not_read() {
        let spec = TlsSpec { ca_file: Some("/dev/zero".into()), ..TlsSpec::default() };
        assert_eq!(error_of(&spec), "/dev/zero: not a regular file");
    }

    #[test]
    fn sessions_are_never_resumed_and_h2_is_offered() {
        let spec = TlsSpec { insecure: true, ..TlsSpec::default() };
        let config = client_config(&spec, &[b"h2"], &Roots::default()).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2"]);
        assert!(format!("{:?}", config.resumption).contains("NoClientSessionStorage"));
    }
}
