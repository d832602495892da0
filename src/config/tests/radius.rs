use tidegate_checkers::{RadiusAttribute, RadiusCode, RadiusMethod, RadiusRequest, RadiusSpec, Secret, Spec};

use super::{refused, right, server, with};
use crate::plan::Description;

fn radius(keys: &str) -> RadiusSpec {
    match &*server(&format!("[virtual_server.check]\ntype = \"radius\"\n{keys}")).checks[0].spec {
        Spec::Radius(spec) => (**spec).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_written() {
    let expected = RadiusSpec {
        request: RadiusRequest::Status,
        secret: Secret::new("s3"),
        attributes: Vec::new(),
        expected: vec![RadiusCode::ACCESS_ACCEPT, RadiusCode::ACCOUNTING_RESPONSE],
        reply: Vec::new(),
        message_authenticator: true,
    };
    assert_eq!(radius("request = \"status\"\nsecret = \"s3\""), expected);
    assert_eq!(
        radius("request = \"accounting\"\nsecret = \"s3\"").expected,
        [RadiusCode::ACCOUNTING_RESPONSE]
    );
}

#[test]
fn what_is_written() {
    let keys = "request = \"chap\"\nsecret = \"s3\"\nuser = \"probe\"\npassword = \"tiger\"\nattributes = { \
                NAS-Identifier = \"lb1\", NAS-Port = 7 }\nexpect = [\"reject\"]\nreply = { 11 = \"staff\" \
                }\nrequire_message_authenticator = false";
    let expected = RadiusSpec {
        request: RadiusRequest::Access {
            user: "probe".into(),
            password: Secret::new("tiger"),
            method: RadiusMethod::Chap,
        },
        secret: Secret::new("s3"),
        attributes: vec![
            RadiusAttribute::text("NAS-Identifier", "lb1").unwrap(),
            RadiusAttribute::integer("NAS-Port", 7).unwrap(),
        ],
        expected: vec![RadiusCode::ACCESS_REJECT],
        reply: vec![RadiusAttribute::text("Filter-Id", "staff").unwrap()],
        message_authenticator: false,
    };
    assert_eq!(radius(keys), expected);

    let model = right(&with(&format!("[virtual_server.check]\ntype = \"radius\"\n{keys}")));
    let shown = serde_json::to_string(&Description::of(&model)).unwrap() + &format!("{model:?}");
    assert!(shown.contains("probe") && !shown.contains("tiger") && !shown.contains("s3"), "{shown}");
}

#[test]
fn mistakes() {
    for (keys, because) in [
        ("secret = \"a\"", "[[virtual_server.check]] needs `request`"),
        ("request = \"status\"", "needs `secret` or `secret_file`"),
        ("request = \"status\"\nsecret = \"a\"\nsecret_file = \"b\"", "exclude each other"),
        ("request = \"pap\"\nsecret = \"a\"", "an Access-Request needs `user`"),
        ("request = \"pap\"\nsecret = \"a\"\nuser = \"b\"", "needs a `password`"),
        ("request = \"status\"\nsecret = \"a\"\nuser = \"b\"", "belongs to an Access-Request"),
        (
            "request = \"status\"\nsecret = \"a\"\nattributes = { Colour = 1 }",
            "no attribute named \"Colour\"",
        ),
        ("request = \"status\"\nsecret = \"a\"\nattributes = { Class = 1 }", "Class has a text"),
        ("request = \"status\"\nsecret = \"a\"\nreply = { NAS-Port = \"1\" }", "NAS-Port has a number"),
        ("request = \"status\"\nsecret = \"a\"\nreply = { NAS-Port = 4294967296 }", "from 0 to 4294967295"),
        ("request = \"status\"\nsecret = \"a\"\nattributes = { User-Name = \"x\" }", "no attribute named"),
        ("request = \"status\"\nsecret = \"a\"\nattributes = { 80 = \"x\" }", "cannot be written here"),
    ] {
        refused(&format!("[virtual_server.check]\ntype = \"radius\"\n{keys}"), because);
    }
    let long = "p".repeat(129);
    let keys =
        format!("type = \"radius\"\nrequest = \"pap\"\nsecret = \"a\"\nuser = \"b\"\npassword = \"{long}\"");
    refused(&format!("[virtual_server.check]\n{keys}"), "at most 128 bytes for \"pap\"");
}
