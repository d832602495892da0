//! Certificates for tests, made by the `openssl` command.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A certificate authority that is known to nobody but those who are given its [`certificate`](Self::certificate).
/// Its files, and those of all that it has issued, go when it is dropped.
#[derive(Debug)]
pub struct Authority {
    directory: TempDir,
    certificate: PathBuf,
}

/// What an authority has issued, in PEM format.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// File of the certificate.
    pub certificate: PathBuf,
    /// File of its key.
    pub key: PathBuf,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy)]
pub enum Validity {
    /// From the year 2020 to 2049.
    Now,
    /// In January 2020.
    Expired,
}

impl Authority {
    /// A new one, called Test, with a key of its own.
    ///
    /// # Panics
    ///
    /// When openssl is not installed or fails.
    pub fn new() -> Self {
        Self::named("Test")
    }

    /// A new one of another name; letters only.
    ///
    /// # Panics
    ///
    /// As [`Authority::new`] does.
    pub fn named(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let certificate = directory.path().join("ca.pem");
        std::fs::write(directory.path().join("ca.conf"), CONFIGURATION).expect("writing ca.conf");
        std::fs::write(directory.path().join("index"), "").expect("writing index");
        let authority = Self { directory, certificate };
        authority.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -keyout ca.key -out ca.pem \
             -subj /CN={name} -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign",
        ));
        authority
    }

    /// Its own certificate, for those who are to trust it.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Issues a certificate for servers and clients. `name` becomes the files' name and the common name; `san` is
    /// what it is valid for, as openssl writes it: `DNS:www.example.com,IP:127.0.0.1`.
    ///
    /// # Panics
    ///
    /// When openssl fails.
    pub fn issue(&self, name: &str, san: &str, validity: Validity) -> Leaf {
        let end = match validity {
            Validity::Now => "20491231235959Z",
            Validity::Expired => "20200131120000Z",
        };
        let extensions = format!("subjectAltName = {san}\nextendedKeyUsage = serverAuth, clientAuth\n");
        std::fs::write(self.directory.path().join("extensions"), extensions).expect("writing extensions");
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        self.openssl(&format!(
            "ca -batch -notext -config ca.conf -extfile extensions -startdate 20200101000000Z -enddate {end} \
             -cert ca.pem -keyfile ca.key -in {name}.csr -out {name}.pem"
        ));
        let path = |extension| self.directory.path().join(format!("{name}.{extension}"));
        Leaf { certificate: path("pem"), key: path("key") }
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.directory)
            .output()
            .unwrap_or_else(|error| panic!("cannot run openssl ({error}): install openssl"));
        if !output.status.success() {
            panic!("openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

const CONFIGURATION: &str = "
[ca]
default_ca = test
[test]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = policy
unique_subject = no
[policy]
commonName = supplied
";
