//! DNS checks: one query (RFC 1035) over UDP, TCP or TLS (RFC 7858).

mod answer;
mod query;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use ipnet::IpNet;

use self::query::Query;
use crate::stream::{Stream, Tls};
use crate::trace::Trace;
use crate::{Outcome, Target, TlsSpec, datagram};

pub use answer::DnsAnswer;

/// Without EDNS an answer over UDP has at most 512 bytes (RFC 1035 §2.3.4); some servers send more nevertheless.
const MAX_DATAGRAM: usize = 4096;

/// A query and what its answer must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsSpec {
    /// How the query goes.
    pub transport: DnsTransport,
    /// What is asked about.
    pub name: DnsName,
    /// Which records.
    pub record: DnsRecord,
    /// Whether the server may ask others (RD).
    pub recursion: bool,
    /// Acceptable response codes; never empty.
    pub rcodes: Vec<DnsRcode>,
    /// The least number of records of that type where the response code is NOERROR.
    pub min_answers: u16,
    /// What these records must be.
    pub expected: Option<DnsExpected>,
}

impl DnsSpec {
    pub(crate) fn tls(&self) -> Option<&TlsSpec> {
        match &self.transport {
            DnsTransport::Tls(tls) => Some(tls),
            DnsTransport::Udp | DnsTransport::Tcp => None,
        }
    }
}

/// How a query goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DnsTransport {
    /// Over UDP, and again over TCP when the answer is truncated.
    Udp,
    /// Over TCP.
    Tcp,
    /// Inside TLS over TCP.
    Tls(TlsSpec),
}

/// What the records of an answer must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DnsExpected {
    /// One of these is there.
    AnyOf(Vec<DnsAnswer>),
    /// All of these are there.
    AllOf(Vec<DnsAnswer>),
    /// Every address is in one of these networks.
    Within(Vec<IpNet>),
}

/// Asks and judges. Either result is the outcome; an error ended the exchange early.
pub(crate) async fn ask(
    target: &Target,
    spec: &DnsSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    let query = Query::new(spec)?;
    let message = match spec.transport {
        DnsTransport::Udp => {
            let read = |bytes: &[u8]| query.read(bytes);
            let message =
                datagram::ask(target, query.bytes(), MAX_DATAGRAM, &query.awaited("UDP"), trace, read)
                    .await?;
            if message.metadata.truncation {
                over_tcp(Stream::open(target, None, trace).await?, &query).await?
            } else {
                message
            }
        }
        DnsTransport::Tcp | DnsTransport::Tls(_) => {
            over_tcp(Stream::open(target, tls, trace).await?, &query).await?
        }
    };
    Ok(match answer::judge(&message, spec) {
        Ok(text) => Outcome::Passed(text),
        Err(text) => Outcome::WrongAnswer(text),
    })
}

/// Each message is preceded by its length (RFC 1035 §4.2.2), so none has more than 64 KiB.
async fn over_tcp(mut stream: Stream, query: &Query) -> Result<Message, Outcome> {
    stream.ask(&query.framed(), &query.awaited("TCP")).await?;
    let length = stream.exactly(2).await?;
    let length = u16::from_be_bytes([length[0], length[1]]);
    let bytes = stream.exactly(usize::from(length)).await?;
    query.read(&bytes).map_err(Outcome::WrongAnswer)
}

/// A name in the DNS. Names that differ only in case are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsName(Name);

impl FromStr for DnsName {
    type Err = String;

    /// `www.example.com`, with a final dot or without; `.` is the root.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut name = Name::from_str_relaxed(text).map_err(|error| error.to_string())?;
        if text.is_empty() {
            return Err("it is empty; the root is \".\"".to_owned());
        }
        name.set_fqdn(true);
        Ok(Self(name))
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A type of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DnsRecord(RecordType);

impl DnsRecord {
    /// IPv4 addresses.
    pub const A: Self = Self(RecordType::A);

    /// Whether such records are addresses.
    pub fn is_address(self) -> bool {
        matches!(self.0, RecordType::A | RecordType::AAAA)
    }
}

impl FromStr for DnsRecord {
    type Err = String;

    /// By its name or as `TYPE65` (RFC 3597 §5). Those that stand for several types or for none are refused (RFC 6895
    /// §3.1: 128 to 255, and OPT).
    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let record = match upper.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok()) {
            Some(number) => RecordType::from(number),
            None => RecordType::from_str(&upper).map_err(|_| "there is no such type".to_owned())?,
        };
        match u16::from(record) {
            0 | 41 | 128..=255 => Err("it is not a type of records".to_owned()),
            _ => Ok(Self(record)),
        }
    }
}

impl fmt::Display for DnsRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RecordType::Unknown(number) => write!(f, "TYPE{number}"),
            known => f.write_str(known.into()),
        }
    }
}

/// The code of a response, 0 to 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DnsRcode(u8);

impl DnsRcode {
    /// 0: there is no error.
    pub const NO_ERROR: Self = Self(0);
}

/// By number (RFC 6895 §2.3).
const RCODES: [&str; 11] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
    "NOTAUTH", "NOTZONE",
];

impl FromStr for DnsRcode {
    type Err = String;

    /// By its name, `NXDOMAIN`, or its number.
    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let known = (0..).zip(RCODES).find(|(_, name)| *name == upper).map(|(number, _)| number);
        let number = known.or_else(|| text.parse().ok().filter(|number| *number < 16));
        number.map(Self).ok_or_else(|| "there is no such response code".to_owned())
    }
}

impl fmt::Display for DnsRcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match RCODES.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

/// What is made of a message, and of what follows the question in an answer to ours.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) -> Option<[String; 2]> {
    const HEADER: usize = 12;
    const KINDS: [u16; 11] = [1, 2, 5, 6, 12, 15, 16, 28, 33, 65, 257];
    let record = DnsRecord(RecordType::from(KINDS[bytes.len() % KINDS.len()]));
    let spec = DnsSpec {
        transport: DnsTransport::Tcp,
        name: "www.example".parse().ok()?,
        record,
        recursion: true,
        rcodes: vec![DnsRcode::NO_ERROR],
        min_answers: 1,
        expected: Some(DnsExpected::AnyOf(vec![DnsAnswer::new(DnsRecord::A, "192.0.2.1").ok()?])),
    };
    let query = Query::new(&spec).ok()?;
    let made = |bytes: &[u8]| {
        query.read(bytes).and_then(|message| answer::judge(&message, &spec)).unwrap_or_else(|why| why)
    };
    let (header, records) = bytes.split_at_checked(HEADER - 2)?;
    let ours = query.bytes();
    Some([made(bytes), made(&[&ours[..2], header, &ours[HEADER..], records].concat())])
}
