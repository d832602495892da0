//! RADIUS checks against FreeRADIUS, and against what forges its replies.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_integration::peer::{self, Peer};
use tidegate_integration::sockets::free_port;

use crate::datagrams::answering;
use crate::written::{outcome, outcome_within};

/// FreeRADIUS with a user `probe`: authentication, and accounting. Debian's adds a Message-Authenticator to a reply
/// only when it is told to.
fn freeradius(message_authenticator: bool) -> (Peer, SocketAddr, SocketAddr) {
    let (auth, acct) = (free_port(), free_port());
    let directory = peer::directory();
    let path = directory.path().display();
    let proof =
        if message_authenticator { "update reply {\n&Message-Authenticator := 0x00\n}\n" } else { "ok\n" };
    let modules = ["pap", "chap", "mschap"].map(|name| format!("{name} {{\n}}\n")).concat();
    let methods = [("PAP", "pap"), ("CHAP", "chap"), ("MS-CHAP", "mschap")]
        .map(|(method, module)| format!("Auth-Type {method} {{\n{module}\n}}\n"))
        .concat();
    let listen = [("auth", "udp", auth), ("auth", "tcp", auth), ("acct", "udp", acct)]
        .map(|(kind, protocol, address)| {
            format!(
                "listen {{\ntype = {kind}\nproto = {protocol}\nipaddr = 127.0.0.1\nport = {}\n}}\n",
                address.port()
            )
        })
        .concat();
    let configuration = format!(
        "libdir = /usr/lib/freeradius\nlogdir = {path}\nrun_dir = {path}\npidfile = {path}/pid\n\
         security {{\nstatus_server = yes\nreject_delay = 0\n}}\n\
         thread pool {{\nstart_servers = 1\nmax_servers = 2\nmin_spare_servers = 1\nmax_spare_servers = 2\n}}\n\
         client loopback {{\nipaddr = 127.0.0.1\nproto = *\nsecret = testing123\n}}\n\
         modules {{\n{modules}files {{\nfilename = {path}/users\n}}\nalways ok {{\nrcode = ok\n}}\n}}\n\
         server check {{\n{listen}\
         authorize {{\n{proof}chap\nmschap\nfiles\npap\nAutz-Type Status-Server {{\n{proof}ok\n}}\n}}\n\
         authenticate {{\n{methods}}}\npreacct {{\nok\n}}\naccounting {{\nok\n}}\n}}\n"
    );
    std::fs::write(directory.path().join("radiusd.conf"), configuration).unwrap();
    let users =
        "probe Cleartext-Password := \"tiger\"\n  Reply-Message := \"hello\",\n  Filter-Id := \"staff\"\n";
    std::fs::write(directory.path().join("users"), users).unwrap();
    let arguments = ["-f", "-l", "stdout", "-d", ".", "-n", "radiusd"];
    (Peer::start("freeradius", "freeradius", &arguments, directory, auth), auth, acct)
}

fn radius(request: &str, keys: &str) -> String {
    format!("type = \"radius\"\nrequest = \"{request}\"\nsecret = \"testing123\"\n{keys}")
}

fn user(password: &str) -> String {
    format!("user = \"probe\"\npassword = \"{password}\"")
}

#[tokio::test]
async fn right_and_wrong() {
    let (_server, auth, acct) = freeradius(true);
    for method in ["pap", "chap", "mschapv2"] {
        let keys = radius(method, &format!("{}\nreply = {{ Filter-Id = \"staff\" }}", user("tiger")));
        assert_eq!(outcome(method, auth, &keys).await, "passed: Access-Accept \"hello\"");

        let keys = radius(method, &user("lion"));
        let text = outcome("wrong password", auth, &keys).await;
        assert!(
            text.starts_with("wrong answer: Access-Reject") && text.ends_with("instead of Access-Accept"),
            "{text}"
        );
        let keys = format!("{keys}\nexpect = \"reject\"");
        assert!(outcome("a reject is enough", auth, &keys).await.starts_with("passed: Access-Reject"));
    }
    let keys = radius("pap", &format!("{}\nreply = {{ Filter-Id = \"guests\" }}", user("tiger")));
    let text = outcome("wrong attribute", auth, &keys).await;
    assert_eq!(
        text,
        "wrong answer: Access-Accept \"hello\", but not with Filter-Id = \"guests\": it is \"staff\""
    );
    assert_eq!(outcome("status", auth, &radius("status", "")).await, "passed: Access-Accept");
    let accounting = radius("accounting", "attributes = { NAS-Identifier = \"lb1\" }");
    assert_eq!(outcome("accounting", acct, &accounting).await, "passed: Accounting-Response");

    // A server does not answer whom it does not trust.
    let text = outcome_within(
        Duration::from_millis(300),
        "wrong secret",
        auth,
        &radius("status", "").replace("testing123", "testing321"),
    )
    .await;
    assert_eq!(text, "timed out in answer: no reply to Status-Server within 300ms");
}

#[tokio::test]
async fn without_a_message_authenticator() {
    let (_server, auth, acct) = freeradius(false);
    let keys = radius("pap", &user("tiger"));
    let text = outcome_within(Duration::from_millis(300), "no Message-Authenticator", auth, &keys).await;
    assert_eq!(
        text,
        "wrong answer: a reply (Access-Accept) without a Message-Authenticator: it may be forged (CVE-2024-3596); \
         nothing else came within 300ms"
    );
    let trusting = format!("{keys}\nrequire_message_authenticator = false");
    assert_eq!(outcome("not required", auth, &trusting).await, "passed: Access-Accept \"hello\"");
    // What is asked here is signed as a whole, so that nothing can be put into it.
    assert_eq!(outcome("accounting", acct, &radius("accounting", "")).await, "passed: Accounting-Response");
}

/// A recorder in front of the real server: what was right for one request is sent in answer to the next as well.
#[tokio::test]
async fn replayed_and_forged() {
    let (_server, auth, _) = freeradius(true);
    let recorded: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let address = answering(move |request| {
        let mut recorded = recorded.lock().unwrap();
        let reply = recorded.get_or_insert_with(|| {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket.send_to(request, auth).unwrap();
            let mut reply = vec![0; 4096];
            let size = socket.recv(&mut reply).unwrap();
            reply.truncate(size);
            reply
        });
        // As if the identifiers, of which there are only 256, had met.
        reply[1] = request[1];
        vec![reply.clone()]
    })
    .await;
    let keys = radius("pap", &user("tiger"));
    assert_eq!(outcome("recorded", address, &keys).await, "passed: Access-Accept \"hello\"");
    let text = outcome_within(Duration::from_millis(300), "replayed", address, &keys).await;
    assert!(text.contains("Response Authenticator is wrong: it is forged or a replay"), "{text}");

    // An Access-Accept from somebody who does not know the secret.
    let forged = answering(|request| vec![[&[2, request[1], 0, 20], &[7; 16][..]].concat()]).await;
    let text = outcome_within(Duration::from_millis(300), "forged", forged, &keys).await;
    assert!(text.contains("Response Authenticator is wrong: it is forged or a replay"), "{text}");
}
