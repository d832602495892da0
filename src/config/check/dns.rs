//! `type = "dns"`

use tidegate_checkers::{
    DnsAnswer, DnsExpected, DnsName, DnsRcode, DnsRecord, DnsSpec, DnsTransport, IpNet, Spec,
};
use toml::de::DeValue;

use super::tls;
use crate::config::Context;
use crate::config::reader::Table;
use crate::config::show::{self, or_none};
use crate::config::values::{boolean, integer, one_of, parsed, quoted, string};

pub(super) const KEYS: [&str; 9] =
    ["query", "record", "transport", "recursion", "rcode", "min_answers", "any_of", "all_of", "within"];

const TRANSPORTS: [(&str, Transport); 3] =
    [("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// None without a name to ask about.
pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Option<Spec> {
    let name = table.require("query", parsed::<DnsName>("a name such as \"www.example.com\" or \".\""));
    let record = table.take("record", parsed("a type of records such as \"A\" or \"TYPE65\""));
    let record = record.map_or(DnsRecord::A, |it| it.value);
    let transport = match table.take("transport", one_of(&TRANSPORTS)).map(|it| it.value) {
        None | Some(Transport::Udp) => DnsTransport::Udp,
        Some(Transport::Tcp) => DnsTransport::Tcp,
        Some(Transport::Tls) => DnsTransport::Tls(tls::read(table, context)),
    };
    if !matches!(transport, DnsTransport::Tls(_)) {
        tls::refuse(table, "transport = \"tls\"");
    }
    let rcodes = table.list("rcode", parsed("a response code such as \"NXDOMAIN\" or \"3\""));
    let spec = DnsSpec {
        transport,
        recursion: table.take("recursion", boolean).is_none_or(|it| it.value),
        rcodes: match rcodes.into_iter().map(|it| it.value).collect::<Vec<_>>() {
            none if none.is_empty() => vec![DnsRcode::NO_ERROR],
            rcodes => rcodes,
        },
        min_answers: table.take("min_answers", integer(0..=1000)).map_or(1, |it| it.value),
        expected: expected(table, record),
        name: name?.value,
        record,
    };
    Some(Spec::Dns(Box::new(spec)))
}

fn expected(table: &mut Table<'_>, record: DnsRecord) -> Option<DnsExpected> {
    let mut written = ["any_of", "all_of", "within"].into_iter().filter(|key| table.has(key));
    let key = written.next()?;
    for other in written.collect::<Vec<_>>() {
        table.refuse(other, format!("`{other}` and `{key}` exclude each other"));
    }
    let answer = |value: &DeValue<'_>| {
        let text = string(value)?;
        DnsAnswer::new(record, text)
            .map_err(|why| format!("must be the data of a record, not {}: {why}", quoted(text)))
    };
    if key == "within" {
        if !record.is_address() {
            table.refuse("within", format!("`within` is about addresses, and {record} records have none"));
        }
        let networks = table.list("within", parsed::<IpNet>("a network such as \"192.0.2.0/24\""));
        return Some(DnsExpected::Within(networks.into_iter().map(|it| it.value).collect()));
    }
    let answers = table.list(key, answer).into_iter().map(|it| it.value).collect();
    Some(if key == "any_of" { DnsExpected::AnyOf(answers) } else { DnsExpected::AllOf(answers) })
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &DnsSpec) -> Vec<(&'static str, String)> {
    let (key, expected) = match &spec.expected {
        None => ("any_of", None),
        Some(DnsExpected::AnyOf(answers)) => ("any_of", Some(show::list(answers))),
        Some(DnsExpected::AllOf(answers)) => ("all_of", Some(show::list(answers))),
        Some(DnsExpected::Within(networks)) => ("within", Some(show::list(networks))),
    };
    let (transport, tls) = match &spec.transport {
        DnsTransport::Udp => (Transport::Udp, None),
        DnsTransport::Tcp => (Transport::Tcp, None),
        DnsTransport::Tls(tls) => (Transport::Tls, Some(tls)),
    };
    let transport = TRANSPORTS.iter().find(|(_, it)| *it == transport).map_or("", |(name, _)| name);
    let mut answers = vec![
        ("query", spec.name.to_string()),
        ("record", spec.record.to_string()),
        ("transport", transport.to_owned()),
        ("recursion", spec.recursion.to_string()),
        ("rcode", show::list(&spec.rcodes)),
        ("min_answers", spec.min_answers.to_string()),
        (key, or_none(expected)),
    ];
    answers.extend(tls.iter().flat_map(|tls| tls::question(tls)));
    answers
}
