//! Whether an answer is what it should be.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record, RecordType};

use super::{DnsExpected, DnsRcode, DnsRecord, DnsSpec};
use crate::text;

/// How many aliases are followed; resolvers follow about as many.
const MOST_ALIASES: usize = 16;

/// The data of a record as text, in the one form in which it is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsAnswer(String);

impl DnsAnswer {
    /// What a zone file says: `192.0.2.1`, `10 mail.example.com`; final dots and the case of names do not count. The
    /// parts of a TXT record are joined, and a type that has no form of its own is written as `\# 2 abcd` (RFC 3597
    /// §5). An error says what it should be.
    pub fn new(record: DnsRecord, written: &str) -> Result<Self, String> {
        let address = |error: std::net::AddrParseError| format!("{error}, as {record} records have");
        Ok(Self(match record.0 {
            RecordType::A => written.parse::<Ipv4Addr>().map_err(address)?.to_string(),
            RecordType::AAAA => written.parse::<Ipv6Addr>().map_err(address)?.to_string(),
            record if has_names(record) => names(written),
            _ => written.to_owned(),
        }))
    }

    fn of(record: &Record) -> Self {
        let mut text = String::new();
        let written = match &record.data {
            RData::TXT(txt) => {
                text = String::from_utf8_lossy(&txt.txt_data.concat()).into_owned();
                Ok(())
            }
            RData::Unknown { rdata, .. } => {
                let hex: String = rdata.anything.iter().map(|byte| format!("{byte:02x}")).collect();
                write!(text, "\\# {} {hex}", rdata.anything.len())
            }
            data => write!(text, "{data}"),
        };
        if written.is_err() {
            text.clear();
        }
        Self(if has_names(record.record_type()) { names(&text) } else { text })
    }
}

impl fmt::Display for DnsAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::quote(self.0.as_bytes()))
    }
}

fn has_names(record: RecordType) -> bool {
    use RecordType::{CNAME, MX, NS, PTR, SOA, SRV};
    matches!(record, NS | CNAME | PTR | MX | SRV | SOA)
}

fn names(text: &str) -> String {
    let one = |word: &str| match word.strip_suffix('.') {
        Some(name) if !name.is_empty() => name.to_ascii_lowercase(),
        _ => word.to_ascii_lowercase(),
    };
    text.split_whitespace().map(one).collect::<Vec<_>>().join(" ")
}

/// What the answer says; an error says what it says instead of what.
pub(super) fn judge(message: &Message, spec: &DnsSpec) -> Result<String, String> {
    let rcode = DnsRcode(message.metadata.response_code.low());
    if !spec.rcodes.contains(&rcode) {
        let expected: Vec<_> = spec.rcodes.iter().map(ToString::to_string).collect();
        return Err(format!("{rcode} instead of {}", expected.join(", ")));
    }
    if rcode != DnsRcode::NO_ERROR {
        return Ok(rcode.to_string());
    }
    let answers = answers(message, spec);
    let records = if answers.len() == 1 { "record" } else { "records" };
    let said = format!("{rcode}, {} {} {records}", answers.len(), spec.record);
    if answers.len() < usize::from(spec.min_answers) {
        return Err(format!("{said} instead of at least {}", spec.min_answers));
    }
    match &spec.expected {
        Some(expected) => match missing(expected, &answers) {
            Some(why) => Err(format!("{said}, but {why}: {}", listed(&answers))),
            None => Ok(said),
        },
        None => Ok(said),
    }
}

/// The records of the type that was asked for, of the name that was asked for or one that it is an alias of.
fn answers(message: &Message, spec: &DnsSpec) -> BTreeSet<DnsAnswer> {
    let mut name = &spec.name.0;
    for _ in 0..MOST_ALIASES {
        let alias = message.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *name => Some(&target.0),
            _ => None,
        });
        match alias {
            Some(target) if spec.record.0 != RecordType::CNAME => name = target,
            _ => break,
        }
    }
    let wanted = |record: &&Record| record.record_type() == spec.record.0 && record.name == *name;
    message.answers.iter().filter(wanted).map(DnsAnswer::of).collect()
}

/// What is wrong with these, if anything.
fn missing(expected: &DnsExpected, answers: &BTreeSet<DnsAnswer>) -> Option<String> {
    match expected {
        DnsExpected::AnyOf(any) => {
            let found = any.iter().any(|one| answers.contains(one));
            (!found).then(|| format!("none of them is {}", listed(any)))
        }
        DnsExpected::AllOf(all) => {
            let missing: Vec<_> = all.iter().filter(|one| !answers.contains(one)).collect();
            (!missing.is_empty()).then(|| format!("{} is missing", listed(missing)))
        }
        DnsExpected::Within(networks) => {
            let inside = |answer: &&DnsAnswer| {
                let address = answer.0.parse::<IpAddr>();
                address.is_ok_and(|address| networks.iter().any(|network| network.contains(&address)))
            };
            let outside = answers.iter().find(|answer| !inside(answer))?;
            let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
            Some(format!("{outside} is not within {}", networks.join(", ")))
        }
    }
}

/// The first of them.
fn listed<'a>(answers: impl IntoIterator<Item = &'a DnsAnswer>) -> String {
    const SHOWN: usize = 4;
    let mut texts: Vec<_> = answers.into_iter().take(SHOWN + 1).map(ToString::to_string).collect();
    if texts.len() > SHOWN {
        texts[SHOWN] = "…".to_owned();
    }
    if texts.is_empty() { "no records".to_owned() } else { texts.join(", ") }
}
