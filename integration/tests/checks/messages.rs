//! A broker of MQTT, and a SIP server.

use tidegate_integration::peer::{Peer, directory};
use tidegate_integration::pki::Authority;
use tidegate_integration::sockets::free_port;

use crate::written::{certificate, outcome, run};

#[tokio::test]
async fn mqtt() {
    let authority = Authority::new();
    let (directory, address, secure) = (directory(), free_port(), free_port());
    let path = directory.path().display().to_string();
    let leaf = certificate(&authority, directory.path());
    run("mosquitto_passwd", &["-b", "-c", &format!("{path}/users"), "probe", "right horse"]);
    run("chmod", &["644", &format!("{path}/users")]);
    let configuration = format!(
        "allow_anonymous false\npassword_file {path}/users\nlistener {} 127.0.0.1\nlistener {} 127.0.0.1\n\
         certfile {}\nkeyfile {}\n",
        address.port(),
        secure.port(),
        leaf.certificate.display(),
        leaf.key.display()
    );
    let file = format!("{path}/mosquitto.conf");
    std::fs::write(&file, configuration).unwrap();
    let _mosquitto = Peer::start("mosquitto", "mosquitto", &["-c", &file], directory, address);
    let ca = format!("tls = \"implicit\"\nca_file = \"{}\"", authority.certificate().display());

    let login = |password: &str| format!("type = \"mqtt\"\nuser = \"probe\"\npassword = \"{password}\"\n");
    assert_eq!(outcome("right", address, &login("right horse")).await, "passed");
    assert_eq!(outcome("TLS", secure, &(login("right horse") + &ca)).await, "passed");
    let text = outcome("wrong password", address, &login("wrong")).await;
    assert_eq!(text, "wrong answer: the connection was refused, code 5: not authorised");
    let text = outcome("no password", address, "type = \"mqtt\"").await;
    assert_eq!(text, "wrong answer: the connection was refused, code 5: not authorised");
}

#[tokio::test]
async fn sip() {
    let authority = Authority::new();
    let (directory, address, secure) = (directory(), free_port(), free_port());
    let path = directory.path().display().to_string();
    let leaf = certificate(&authority, directory.path());
    let configuration = format!(
        "#!KAMAILIO\ndebug=1\nlog_stderror=yes\nfork=no\nchildren=1\ntcp_children=1\nenable_tls=yes\n\
         listen=udp:{address}\nlisten=tcp:{address}\nlisten=tls:{secure}\nmpath=\"/usr/lib/x86_64-linux-gnu/kamailio/modules/\"\n\
         loadmodule \"sl.so\"\nloadmodule \"tls.so\"\nmodparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\nmodparam(\"tls\", \"certificate\", \"{}\")\n\
         modparam(\"tls\", \"private_key\", \"{}\")\n\
         request_route {{\n if (uri =~ \"closed\") {{ sl_send_reply(\"503\", \"Closed\"); }}\n\
         else {{ sl_send_reply(\"200\", \"OK\"); }}\n}}\n",
        leaf.certificate.display(),
        leaf.key.display()
    );
    let file = format!("{path}/kamailio.cfg");
    std::fs::write(&file, configuration).unwrap();
    let arguments = ["-f", &file, "-DD", "-E", "-Y", &path, "-m", "32", "-M", "8"];
    let _kamailio = Peer::start("kamailio", "kamailio", &arguments, directory, address);
    for transport in ["udp", "tcp"] {
        let check = format!("type = \"sip\"\ntransport = \"{transport}\"\n");
        assert_eq!(outcome(&format!("right, {transport}"), address, &check).await, "passed: 200");
        let closed = format!("{check}uri = \"sip:closed@{address}\"");
        let text = outcome(&format!("closed, {transport}"), address, &closed).await;
        assert_eq!(text, "wrong answer: \"503 Closed\" instead of 200-299");
    }
    let tls = "type = \"sip\"\ntransport = \"tls\"\n";
    let ca = format!("{tls}ca_file = \"{}\"", authority.certificate().display());
    assert_eq!(outcome("right, tls", secure, &ca).await, "passed: 200");
    let text = outcome("unknown issuer", secure, tls).await;
    assert_eq!(text, "TLS failed: the certificate's issuer is none of the roots");
}
