use tidegate_checkers::{LdapScope, Security, SipTransport, Spec, SqlProtocol};

use super::{refused, server};

fn spec(keys: &str) -> Spec {
    (*server(&format!("[virtual_server.check]\n{keys}")).checks[0].spec).clone()
}

fn wrong(keys: &str, because: &str) {
    refused(&format!("[virtual_server.check]\n{keys}"), because);
}

#[test]
fn databases() {
    let Spec::Sql(sql) = spec("type = \"mysql\"\nuser = \"me\"") else { panic!() };
    assert_eq!((sql.protocol, &*sql.login.name, sql.login.password.expose()), (SqlProtocol::Mysql, "me", ""));
    let keys = "type = \"postgres\"\nuser = \"me\"\npassword = \"x\"\nquery = \"SELECT 1\"\nexpect = \"^1$\"";
    let Spec::Sql(sql) = spec(&format!("{keys}\ntls = \"starttls\"")) else { panic!() };
    assert!(sql.expect.is_some() && sql.tls.is_some());
    wrong("type = \"mysql\"", "needs `user`");
    wrong("type = \"mysql\"\nuser = \"me\"\nexpect = \"1\"", "`expect` needs `query`");
    wrong(
        "type = \"mysql\"\nuser = \"me\"\ntls = \"implicit\"",
        "`tls` must be one of \"none\", \"starttls\"",
    );
}

#[test]
fn telephony() {
    let Spec::Sip(sip) = spec("type = \"sip\"") else { panic!() };
    assert_eq!((&sip.transport, sip.uri, sip.status.len()), (&SipTransport::Udp, None, 1));
    let Spec::Sip(sip) = spec("type = \"sip\"\ntransport = \"tls\"\nstatus = [200, 404]") else { panic!() };
    assert!(matches!(sip.transport, SipTransport::Tls(_)) && sip.status.len() == 2);
    wrong("type = \"sip\"\nuri = \"example.com\"", "`uri` must be a URI");
    wrong("type = \"sip\"\ninsecure = true", "means nothing without `transport = \"tls\"`");
}

#[test]
fn brokers() {
    let Spec::Mqtt(mqtt) = spec("type = \"mqtt\"\nuser = \"me\"\npassword = \"x\"") else { panic!() };
    assert!(mqtt.login.is_some() && mqtt.tls.is_none());
    wrong("type = \"mqtt\"\nuser = \"me\"", "a `user` needs a `password`");
}

#[test]
fn ldap() {
    let ldap = |keys: &str| match spec(&format!("type = \"ldap\"\n{keys}")) {
        Spec::Ldap(ldap) => *ldap,
        other => panic!("{other:?}"),
    };
    let none = ldap("");
    assert_eq!((none.login, none.search, none.security), (None, None, Security::None));
    let search = ldap("base = \"\"").search.unwrap();
    assert_eq!((search.base.as_str(), search.scope, search.min_entries), ("", LdapScope::Base, 1));
    assert_eq!(search.filter.to_string(), "(objectClass=*)");
    wrong("type = \"ldap\"\nfilter = \"(a=b)\"", "`filter` needs `base`");
    wrong("type = \"ldap\"\nbase = \"o=x\"\nfilter = \"a=b\"", "not \"a=b\": a ( is missing before \"a=b\"");
    // With an empty password a server lets anybody in.
    wrong("type = \"ldap\"\nuser = \"cn=a\"\npassword = \"\"", "`password` must have 1 to 1024 bytes");
}

#[test]
fn grpc_and_websocket() {
    let Spec::Grpc(grpc) = spec("type = \"grpc\"") else { panic!() };
    assert_eq!((grpc.service.as_str(), grpc.host, grpc.tls), ("", None, None));
    wrong("type = \"grpc\"\nca_file = \"ca.pem\"", "means nothing without `tls`");
    let Spec::Websocket(socket) = spec("type = \"websocket\"\ntls = \"implicit\"") else { panic!() };
    assert_eq!((socket.path.as_str(), socket.subprotocol, socket.tls.is_some()), ("/", None, true));
    wrong("type = \"websocket\"\nheaders = { Sec-WebSocket-Key = \"x\" }", "a check cannot send the header");
    wrong("type = \"websocket\"\nsubprotocol = \"a b\"", "`subprotocol` must be a name");
}
