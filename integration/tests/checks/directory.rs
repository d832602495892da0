//! LDAP checks against OpenLDAP's slapd.

use std::net::SocketAddr;

use tidegate_integration::peer::{self, Peer};
use tidegate_integration::pki::Authority;
use tidegate_integration::sockets::free_port;

use crate::written::{certificate, outcome, run};

/// A directory with the user `cn=probe` and two more entries, in clear text with STARTTLS, and inside TLS. Only who
/// has logged in sees them.
fn slapd(authority: &Authority) -> (Peer, SocketAddr, SocketAddr) {
    let (directory, clear, tls) = (peer::directory(), free_port(), free_port());
    let path = directory.path().display().to_string();
    let leaf = certificate(authority, directory.path());
    let configuration = format!(
        "include /etc/ldap/schema/core.schema\npidfile {path}/pid\n\
         TLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
         database ldif\nsuffix \"dc=example,dc=com\"\ndirectory {path}/data\n\
         access to attrs=userPassword by * auth\naccess to * by users read by * none\n",
        leaf.certificate.display(),
        leaf.key.display(),
    );
    let entries = "dn: dc=example,dc=com\nobjectClass: organization\nobjectClass: dcObject\no: Example\ndc: example\n\n\
        dn: cn=probe,dc=example,dc=com\nobjectClass: person\ncn: probe\nsn: probe\nuserPassword: right \"horse\"\n\n\
        dn: cn=Ann (staff),dc=example,dc=com\nobjectClass: person\ncn: Ann (staff)\nsn: Lee\n";
    std::fs::create_dir(directory.path().join("data")).unwrap();
    std::fs::write(directory.path().join("slapd.conf"), configuration).unwrap();
    std::fs::write(directory.path().join("entries.ldif"), entries).unwrap();
    let (file, ldif) = (format!("{path}/slapd.conf"), format!("{path}/entries.ldif"));
    run("/usr/sbin/slapadd", &["-f", &file, "-l", &ldif]);
    let listen = format!("ldap://{clear}/ ldaps://{tls}/");
    let peer = Peer::start("slapd", "slapd", &["-d", "0", "-f", &file, "-h", &listen], directory, clear);
    (peer, clear, tls)
}

const USER: &str = "user = \"cn=probe,dc=example,dc=com\"\npassword = 'right \"horse\"'\n";

#[tokio::test]
async fn binds() {
    let authority = Authority::new();
    let (_slapd, clear, tls) = slapd(&authority);
    let ca = format!("ca_file = \"{}\"", authority.certificate().display());
    let check = |keys: &str| format!("type = \"ldap\"\n{keys}\n");
    assert_eq!(outcome("anonymous", clear, &check("")).await, "passed");
    assert_eq!(outcome("right", clear, &check(USER)).await, "passed");
    for (case, address, mode) in [("TLS", tls, "implicit"), ("STARTTLS", clear, "starttls")] {
        let keys = check(&format!("{USER}tls = \"{mode}\"\n"));
        assert_eq!(outcome(case, address, &format!("{keys}{ca}")).await, "passed");
        let text = outcome(&format!("{case}, unknown issuer"), address, &keys).await;
        assert_eq!(text, "TLS failed: the certificate's issuer is none of the roots");
    }
    let refused = "wrong answer: the bind was refused: ";
    let text = outcome("wrong password", clear, &check(&USER.replace("horse", "cow"))).await;
    assert_eq!(text, format!("{refused}49 invalidCredentials"));
    let text = outcome("wrong name", clear, &check(&USER.replace("probe", "nobody"))).await;
    assert_eq!(text, format!("{refused}49 invalidCredentials"));
    let text = outcome("no name", clear, &check(&USER.replace("cn=probe", "probe"))).await;
    assert_eq!(text, format!("{refused}34 invalidDNSyntax: \"invalid DN\""));
}

/// A server that is not prepared for TLS.
#[tokio::test]
async fn without_starttls() {
    let directory = peer::directory();
    let file = directory.path().join("slapd.conf").display().to_string();
    std::fs::write(&file, format!("pidfile {}/pid\n", directory.path().display())).unwrap();
    let address = free_port();
    let listen = format!("ldap://{address}/");
    let _slapd = Peer::start("slapd", "slapd", &["-d", "0", "-f", &file, "-h", &listen], directory, address);
    let text = outcome("no STARTTLS", address, "type = \"ldap\"\ntls = \"starttls\"").await;
    assert!(text.starts_with("TLS failed: the server refused STARTTLS: 2 protocolError: "), "{text}");
}

#[tokio::test]
async fn searches() {
    let (_slapd, address, _) = slapd(&Authority::new());
    let search = |keys: &str| format!("type = \"ldap\"\n{USER}base = \"dc=example,dc=com\"\n{keys}\n");
    for (case, keys, expected) in [
        ("the entry at the base", "", "passed: 1 entry"),
        ("below the base", "scope = \"one\"\nmin_entries = 2", "passed: 2 entries"),
        ("the base and below", "scope = \"sub\"\nmin_entries = 3", "passed: 3 entries"),
        ("no more than are asked for", "scope = \"sub\"", "passed: 1 entry"),
        ("none is enough", "min_entries = 0\nfilter = \"(cn=nobody)\"", "passed: 0 entries"),
        (
            "filter of all kinds",
            r"scope = 'sub'
              filter = '(&(objectClass=person)(!(cn=probe))(|(sn=L*e)(sn=\4cee))(cn=ann \28staff\29))'",
            "passed: 1 entry",
        ),
        ("matching rule", "scope = \"sub\"\nfilter = \"(cn:caseExactMatch:=probe)\"", "passed: 1 entry"),
        (
            "nothing matches",
            "scope = \"sub\"\nfilter = \"(cn:caseExactMatch:=Probe)\"",
            "wrong answer: 0 entries instead of at least 1",
        ),
        ("too few", "scope = \"sub\"\nmin_entries = 4", "wrong answer: 3 entries instead of at least 4"),
    ] {
        assert_eq!(outcome(case, address, &search(keys)).await, expected);
    }
    let missing = search("").replace("base = \"", "base = \"ou=none,");
    let text = outcome("wrong base", address, &missing).await;
    assert_eq!(text, "wrong answer: the search was refused: 32 noSuchObject");
    let text = outcome("not allowed", address, &search("").replace(USER, "")).await;
    assert_eq!(text, "wrong answer: 0 entries instead of at least 1");
}
