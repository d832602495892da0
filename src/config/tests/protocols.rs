use tidegate_checkers::{SipTransport, Spec, SqlProtocol};

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
