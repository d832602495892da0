//! FTP, NNTP, Redis, memcached, and conversations of one's own.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use tidegate_integration::peer::{Peer, directory};
use tidegate_integration::pki::Authority;
use tidegate_integration::sockets::free_port;

use crate::server;
use crate::written::{certificate, outcome};

#[tokio::test]
async fn ftp() {
    let authority = Authority::new();
    let (directory, address) = (directory(), free_port());
    let path = directory.path().display().to_string();
    let leaf = certificate(&authority, directory.path());
    let configuration = format!(
        "background=NO\nlisten=YES\nlisten_address=127.0.0.1\nlisten_port={}\nanonymous_enable=YES\n\
         local_enable=NO\nno_anon_password=NO\nanon_root={path}/empty\nftp_username=daemon\n\
         secure_chroot_dir={path}/empty\nseccomp_sandbox=NO\nssl_enable=YES\nallow_anon_ssl=YES\n\
         rsa_cert_file={}\nrsa_private_key_file={}\nvsftpd_log_file={path}/log\ndual_log_enable=YES\n",
        address.port(),
        leaf.certificate.display(),
        leaf.key.display(),
    );
    std::fs::write(directory.path().join("vsftpd.conf"), configuration).unwrap();
    std::fs::create_dir(directory.path().join("empty")).unwrap();
    let conf = format!("{path}/vsftpd.conf");
    let _vsftpd = Peer::start("vsftpd", "vsftpd", &[&conf], directory, address);
    let ca = format!("ca_file = \"{}\"", authority.certificate().display());

    assert_eq!(outcome("right", address, "type = \"ftp\"").await, "passed");
    let login = |user: &str| format!("type = \"ftp\"\nuser = \"{user}\"\npassword = \"guest\"\n");
    assert_eq!(outcome("login", address, &login("anonymous")).await, "passed");
    let tls = format!("{}tls = \"starttls\"\n{ca}", login("anonymous"));
    assert_eq!(outcome("login in AUTH TLS", address, &tls).await, "passed");
    let text = outcome("wrong user", address, &login("root")).await;
    assert_eq!(
        text,
        "wrong answer: the answer to USER is \"530 This FTP server is anonymous only.\" instead of 331 or 230"
    );
}

/// leafnode, started for each connection as inetd does it.
#[tokio::test]
async fn nntp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let stream = OwnedFd::from(stream);
            // It wants a host with a full name.
            let mut child = Command::new("unshare")
                .args(["--uts", "sh", "-c", "hostname news.tidegate.net; exec leafnode"])
                .env("PATH", "/usr/sbin:/usr/bin:/bin")
                .stdin(Stdio::from(stream.try_clone().unwrap()))
                .stdout(Stdio::from(stream))
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("cannot start unshare ({error}): install util-linux"));
            child.wait().unwrap();
        }
    });

    assert_eq!(outcome("right", address, "type = \"nntp\"").await, "passed");
    let login = "type = \"nntp\"\nuser = \"tester\"\npassword = \"horse\"";
    let text = outcome("wrong password", address, login).await;
    assert!(text.starts_with("wrong answer: the answer to AUTHINFO "), "{text}");
}

#[tokio::test]
async fn redis() {
    let authority = Authority::new();
    let (directory, address, secure): (_, SocketAddr, SocketAddr) = (directory(), free_port(), free_port());
    let leaf = certificate(&authority, directory.path());
    let (port, tls_port) = (address.port().to_string(), secure.port().to_string());
    let (certificate, key) = (leaf.certificate.display().to_string(), leaf.key.display().to_string());
    let arguments = [
        "--bind",
        "127.0.0.1",
        "--port",
        &port,
        "--save",
        "",
        "--requirepass",
        "right \"horse\"",
        "--tls-port",
        &tls_port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
        "--tls-ca-cert-file",
        &certificate,
    ];
    let _redis = Peer::start("redis-server", "redis-server", &arguments, directory, address);
    let ca = format!("ca_file = \"{}\"", authority.certificate().display());

    let check = "type = \"redis\"\npassword = 'right \"horse\"'\n";
    assert_eq!(outcome("right", address, check).await, "passed");
    assert_eq!(outcome("a user", address, &format!("{check}user = \"default\"")).await, "passed");
    assert_eq!(outcome("TLS", secure, &format!("{check}tls = \"implicit\"\n{ca}")).await, "passed");
    let text = outcome("wrong password", address, "type = \"redis\"\npassword = \"x\"").await;
    assert!(text.starts_with("wrong answer: the answer to AUTH is \"-WRONGPASS"), "{text}");
    let text = outcome("no password", address, "type = \"redis\"").await;
    assert!(text.starts_with("wrong answer: the answer to PING is \"-NOAUTH"), "{text}");
}

#[tokio::test]
async fn memcached() {
    let (directory, address) = (directory(), free_port());
    let users = directory.path().join("users").display().to_string();
    std::fs::write(&users, "tester:horse\n").unwrap();
    let port = address.port().to_string();
    let arguments = ["-l", "127.0.0.1", "-U", "0", "-u", "nobody", "-p", &port];
    let _plain = Peer::start("memcached", "memcached", &arguments, directory, address);
    assert_eq!(outcome("right", address, "type = \"memcached\"").await, "passed");

    let address = free_port();
    let port = address.port().to_string();
    let arguments = ["-l", "127.0.0.1", "-U", "0", "-u", "nobody", "-p", &port, "-Y", &users];
    let _locked =
        Peer::start("memcached", "memcached", &arguments, tidegate_integration::peer::directory(), address);
    let login =
        |password: &str| format!("type = \"memcached\"\nuser = \"tester\"\npassword = \"{password}\"");
    assert_eq!(outcome("login", address, &login("horse")).await, "passed");
    let text = outcome("wrong password", address, &login("donkey")).await;
    assert_eq!(
        text,
        "wrong answer: the answer to the login is \"CLIENT_ERROR authentication failure\" instead of \"STORED\""
    );
    let text = outcome("no password", address, "type = \"memcached\"").await;
    assert_eq!(
        text,
        "wrong answer: the answer to version is \"CLIENT_ERROR unauthenticated\" instead of \"VERSION\""
    );
}

/// ldirectord's `simpletcp`, and more.
#[tokio::test]
async fn dialogue() {
    let address = server::answering(&["100 wait\r\n", "\x00200 hello ", "world\r\n", "221 bye"]).await;
    let check =
        |steps: &str| format!("type = \"dialogue\"\nsteps = [{{ send = \"hi\\r\\n\\r\\n\", {steps} }}]");
    let right = "expect = '200 hello' }, { expect = '^ world\\r\\n' }, { expect = '^221'";
    assert_eq!(outcome("right", address, &check(right)).await, "passed");
    let text = outcome("rejected", address, &check("expect = '^200', reject = '^1'")).await;
    assert_eq!(text, "wrong answer: the answer in step 1 is \"100 wait\" instead of \"^200\"");
    let text = outcome("never", address, &check("expect = '(?m)^404'")).await;
    let start = "connection reset: closed by the server: answer in step 1 not complete after ";
    assert!(text.starts_with(start), "{text}");
}
