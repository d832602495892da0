use tidegate_checkers::{DnsAnswer, DnsExpected, DnsRcode, DnsRecord, DnsSpec, DnsTransport, Spec, TlsSpec};

use super::{refused, right, server, with, wrong};

fn dns(keys: &str) -> DnsSpec {
    match &*server(&format!("[virtual_server.check]\ntype = \"dns\"\n{keys}")).checks[0].spec {
        Spec::Dns(spec) => (**spec).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_written() {
    let expected = DnsSpec {
        transport: DnsTransport::Udp,
        name: "www.example.com".parse().unwrap(),
        record: DnsRecord::A,
        recursion: true,
        rcodes: vec![DnsRcode::NO_ERROR],
        min_answers: 1,
        expected: None,
    };
    assert_eq!(dns("query = \"www.example.com\""), expected);
}

#[test]
fn what_is_written() {
    let keys = "query = \"example.com\"\nrecord = \"mx\"\ntransport = \"tls\"\nca_file = \"ca.pem\"\nrecursion = \
                false\nrcode = [\"NOERROR\", \"3\"]\nmin_answers = 2\nall_of = \"10 Mail.example.com.\"";
    let record = "MX".parse().unwrap();
    let tls = TlsSpec { ca_file: Some("ca.pem".into()), ..TlsSpec::default() };
    let expected = DnsSpec {
        transport: DnsTransport::Tls(tls),
        name: "example.com.".parse().unwrap(),
        record,
        recursion: false,
        rcodes: vec![DnsRcode::NO_ERROR, "NXDOMAIN".parse().unwrap()],
        min_answers: 2,
        expected: Some(DnsExpected::AllOf(vec![DnsAnswer::new(record, "10 mail.example.com").unwrap()])),
    };
    assert_eq!(dns(keys), expected);
}

#[test]
fn mistakes() {
    for (keys, because) in [
        ("", "[[virtual_server.check]] needs `query`"),
        ("query = \"a..b\"", "`query` must be a name such as"),
        ("query = \"a\"\nrecord = \"ANY\"", "not \"ANY\": it is not a type of records"),
        ("query = \"a\"\nrcode = \"OOPS\"", "there is no such response code"),
        ("query = \"a\"\nany_of = \"mail\"", "as A records have"),
        ("query = \"a\"\nany_of = []", "must not be empty"),
        ("query = \"a\"\nany_of = \"192.0.2.1\"\nwithin = \"192.0.2.0/24\"", "exclude each other"),
        ("query = \"a\"\nwithin = \"192.0.2.0/33\"", "must be a network"),
        ("query = \"a\"\nrecord = \"MX\"\nwithin = \"192.0.2.0/24\"", "MX records have none"),
        ("query = \"a\"\ninsecure = true", "means nothing without `transport = \"tls\"`"),
        (
            "query = \"a\"\npath = \"/\"",
            "belongs to checks of type \"http\", \"https\", \"websocket\" or \"file\"",
        ),
    ] {
        refused(&format!("[virtual_server.check]\ntype = \"dns\"\n{keys}"), because);
    }
}

/// What has keys of its own that must be written cannot stand for a check that is not written.
#[test]
fn as_the_default() {
    let defaults = "[defaults.check]\ntype = \"dns\"\n";
    let mistakes = wrong(&format!("{defaults}{}", with("")));
    assert_eq!(mistakes, ["[[virtual_server.check]] needs `query`"]);
    right(&format!("{defaults}{}", with("check = { query = \"example.com\" }")));
    let mistakes = wrong(&format!("{defaults}query = \"a\"\n{}", with("check.query = \"b\"")));
    assert_eq!(mistakes, ["`query` belongs to one check, not to all"]);
}
