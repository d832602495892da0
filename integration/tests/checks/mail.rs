use std::net::SocketAddr;

use tidegate_integration::peer::{Peer, directory};
use tidegate_integration::pki::Authority;
use tidegate_integration::sockets::free_port;

use crate::written::{certificate, outcome, run};

fn exim(authority: &Authority) -> (Peer, SocketAddr) {
    let (directory, address) = (directory(), free_port());
    let path = directory.path().display().to_string();
    let leaf = certificate(authority, directory.path());
    let configuration = format!(
        "primary_hostname = mail.example.com
        daemon_smtp_ports = {}
        local_interfaces = 127.0.0.1
        spool_directory = {path}/spool
        log_file_path = {path}/%slog
        pid_file_path = {path}/pid
        tls_advertise_hosts = *
        tls_certificate = {}
        tls_privatekey = {}
        begin authenticators
        plain:
          driver = plaintext
          public_name = PLAIN
          server_prompts = :
          server_condition = ${{if and{{{{eq{{$auth2}}{{tester}}}}{{eq{{$auth3}}{{right \"horse\"}}}}}}}}
        ",
        address.port(),
        leaf.certificate.display(),
        leaf.key.display(),
    );
    std::fs::write(directory.path().join("exim.conf"), configuration).unwrap();
    for name in ["spool", "main", "log"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
    }
    run("chown", &["-R", "Debian-exim", &path]);
    run("chown", &["root", &format!("{path}/exim.conf")]);
    let conf = format!("{path}/exim.conf");
    (Peer::start("exim4-daemon-light", "exim4", &["-C", &conf, "-bdf", "-v"], directory, address), address)
}

#[tokio::test]
async fn smtp() {
    let authority = Authority::new();
    let (_exim, address) = exim(&authority);
    let ca = format!("ca_file = \"{}\"", authority.certificate().display());
    let secure = format!("type = \"smtp\"\ntls = \"starttls\"\n{ca}");

    assert_eq!(outcome("right", address, "type = \"smtp\"").await, "passed");
    assert_eq!(outcome("STARTTLS", address, &secure).await, "passed");
    let login = |password: &str| format!("{secure}\nuser = \"tester\"\npassword = '{password}'");
    assert_eq!(outcome("login", address, &login("right \"horse\"")).await, "passed");
    let text = outcome("wrong password", address, &login("wrong horse")).await;
    assert_eq!(
        text,
        "wrong answer: the answer to AUTH is \"535 Incorrect authentication data\" instead of 235"
    );

    let submission = |login: String| login.replace("smtp", "submission").replace("tls = \"starttls\"\n", "");
    let right = submission(login("right \"horse\""));
    assert_eq!(outcome("login", address, &right).await, "passed");
    let text = outcome("wrong password", address, &submission(login("wrong horse"))).await;
    assert!(text.starts_with("wrong answer: the answer to AUTH is \"535 "), "{text}");
    let text = outcome("unknown issuer", address, "type = \"submission\"").await;
    assert_eq!(text, "TLS failed: the certificate's issuer is none of the roots");
}

const USER: &str = "user = \"tester\"\npassword = \"right \\\"horse\\\"\"";

/// Where a dovecot listens.
struct Ports {
    imap: SocketAddr,
    imaps: SocketAddr,
    pop3: SocketAddr,
    pop3s: SocketAddr,
    sieve: SocketAddr,
}

fn dovecot(authority: &Authority) -> (Peer, Ports) {
    let directory = directory();
    let path = directory.path().display().to_string();
    let leaf = certificate(authority, directory.path());
    let [imap, imaps, pop3, pop3s, sieve] = std::array::from_fn(|_| free_port());
    let configuration = format!(
        "base_dir = {path}/run
        state_dir = {path}/state
        log_path = {path}/log
        protocols = imap pop3 sieve
        listen = 127.0.0.1
        ssl = yes
        ssl_cert = <{certificate}
        ssl_key = <{key}
        disable_plaintext_auth = no
        auth_failure_delay = 0
        first_valid_uid = 0
        mail_location = maildir:{path}/mail
        passdb {{
          driver = passwd-file
          args = {path}/users
        }}
        userdb {{
          driver = static
          args = uid=nobody gid=nogroup home={path}/home
        }}
        service imap-login {{
          inet_listener imap {{\n port = {imap}\n }}
          inet_listener imaps {{\n port = {imaps}\n ssl = yes\n }}
        }}
        service pop3-login {{
          inet_listener pop3 {{\n port = {pop3}\n }}
          inet_listener pop3s {{\n port = {pop3s}\n ssl = yes\n }}
        }}
        service managesieve-login {{
          inet_listener sieve {{\n port = {sieve}\n }}
        }}
        ",
        certificate = leaf.certificate.display(),
        key = leaf.key.display(),
        imap = imap.port(),
        imaps = imaps.port(),
        pop3 = pop3.port(),
        pop3s = pop3s.port(),
        sieve = sieve.port(),
    );
    std::fs::write(directory.path().join("dovecot.conf"), configuration).unwrap();
    std::fs::write(directory.path().join("users"), "tester:{PLAIN}right \"horse\"::::::\n").unwrap();
    for name in ["home", "mail"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
        run("chown", &["nobody:nogroup", &format!("{path}/{name}")]);
    }
    let conf = format!("{path}/dovecot.conf");
    let peer = Peer::start("dovecot-core", "dovecot", &["-F", "-c", &conf], directory, imap);
    (peer, Ports { imap, imaps, pop3, pop3s, sieve })
}

/// The same cases in each of the protocols that dovecot speaks.
#[tokio::test]
async fn imap_pop3_and_sieve() {
    let authority = Authority::new();
    let (_dovecot, ports) = dovecot(&authority);
    let ca = format!("ca_file = \"{}\"", authority.certificate().display());
    for (kind, address, implicit, wrong) in [
        ("imap", ports.imap, Some(ports.imaps), "answer to LOGIN is \"a2 NO [AUTHENTICATIONFAILED]"),
        ("pop3", ports.pop3, Some(ports.pop3s), "answer to PASS is \"-ERR [AUTH]"),
        ("sieve", ports.sieve, None, "answer to AUTHENTICATE is \"NO"),
    ] {
        let check = format!("type = \"{kind}\"");
        assert_eq!(outcome("right", address, &check).await, "passed");
        let starttls = format!("{check}\ntls = \"starttls\"\n{ca}");
        assert_eq!(outcome("STARTTLS", address, &starttls).await, "passed");
        assert_eq!(outcome("login in STARTTLS", address, &format!("{starttls}\n{USER}")).await, "passed");
        let text =
            outcome("wrong password", address, &format!("{check}\n{USER}").replace("horse", "wrong")).await;
        assert!(text.contains(wrong), "{text}");
        if let Some(implicit) = implicit {
            let tls = format!("{check}\ntls = \"implicit\"\n");
            assert_eq!(outcome("TLS", implicit, &format!("{tls}{ca}")).await, "passed");
            let text = outcome("unknown issuer", implicit, &tls).await;
            assert_eq!(text, "TLS failed: the certificate's issuer is none of the roots");
        }
    }
}
