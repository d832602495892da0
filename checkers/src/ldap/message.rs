//! Messages (RFC 4511 §4), in the subset of BER that LDAP has (§5.1).

use bytes::BytesMut;
use ldap3_lber::common::TagClass::{self, Application, Context, Universal};
use ldap3_lber::parse::Parser;
use ldap3_lber::structure::{PL, StructureTag};
use ldap3_lber::structures::{ASNTag, Integer};
use ldap3_lber::write::encode_into;

use super::{LdapScope, LdapSearch};
use crate::{Login, Outcome, text};

/// The most bytes that one message of the server may have.
const MOST: usize = 64 << 10;
/// A result lies three levels deep, references and controls a little deeper.
const DEPTH: usize = 16;
/// RFC 4511 §4.14.1.
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// Asks for no attribute at all (RFC 4511 §4.5.1.8).
const NO_ATTRIBUTES: &[u8] = b"1.1";

pub(super) fn start_tls() -> StructureTag {
    application(23).of(vec![context(0).bytes(START_TLS)])
}

pub(super) fn bind(login: Option<&Login>) -> StructureTag {
    let (name, password) = login.map_or(("", ""), |login| (login.name.as_str(), login.password.expose()));
    application(0).of(vec![universal(INTEGER).bytes([3]), octets(name), context(0).bytes(password)])
}

pub(super) fn search(search: &LdapSearch) -> StructureTag {
    let scope = match search.scope {
        LdapScope::Base => 0,
        LdapScope::One => 1,
        LdapScope::Sub => 2,
    };
    // 0 would be no limit.
    let most = Integer { inner: i64::from(search.min_entries.max(1)), ..Integer::default() };
    application(3).of(vec![
        octets(search.base.as_str()),
        universal(ENUMERATED).bytes([scope]),
        universal(ENUMERATED).bytes([0]), // aliases stand for themselves
        most.into_structure(),
        universal(INTEGER).bytes([0]),     // no limit of time but ours
        boolean(universal(BOOLEAN), true), // names of attributes only
        search.filter.tag(),
        sequence(vec![octets(NO_ATTRIBUTES)]),
    ])
}

pub(super) fn unbind() -> StructureTag {
    application(2).bytes([])
}

/// A whole message. Its parts are bounded by the configuration.
pub(super) fn encode(id: u8, request: StructureTag) -> Result<BytesMut, Outcome> {
    let message = sequence(vec![universal(INTEGER).bytes([id]), request]);
    bytes_of(message).map_err(|error| Outcome::NotRun(format!("cannot make the request: {error}")))
}

pub(super) fn bytes_of(tag: StructureTag) -> std::io::Result<BytesMut> {
    let mut bytes = BytesMut::new();
    encode_into(&mut bytes, tag)?;
    Ok(bytes)
}

const BOOLEAN: u64 = 1;
const INTEGER: u64 = 2;
const OCTET_STRING: u64 = 4;
const ENUMERATED: u64 = 10;
const SEQUENCE: u64 = 16;

/// A tag that waits for its content.
pub(super) struct Tag(TagClass, u64);

impl Tag {
    pub(super) fn bytes(self, bytes: impl AsRef<[u8]>) -> StructureTag {
        StructureTag { class: self.0, id: self.1, payload: PL::P(bytes.as_ref().to_vec()) }
    }

    pub(super) fn of(self, parts: Vec<StructureTag>) -> StructureTag {
        StructureTag { class: self.0, id: self.1, payload: PL::C(parts) }
    }
}

fn application(id: u64) -> Tag {
    Tag(Application, id)
}

pub(super) fn context(id: u64) -> Tag {
    Tag(Context, id)
}

fn universal(id: u64) -> Tag {
    Tag(Universal, id)
}

pub(super) fn octets(bytes: impl AsRef<[u8]>) -> StructureTag {
    universal(OCTET_STRING).bytes(bytes)
}

pub(super) fn sequence(parts: Vec<StructureTag>) -> StructureTag {
    universal(SEQUENCE).of(parts)
}

pub(super) fn boolean(tag: Tag, value: bool) -> StructureTag {
    tag.bytes([if value { 0xff } else { 0 }])
}

/// Kinds of messages that a server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bind,
    Entry,
    Done,
    Reference,
    Extended,
    Intermediate,
}

/// What came of a request, or one entry of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    /// Of those kinds that have one; 0 for the others.
    code: u32,
    /// What the server says about it.
    said: Vec<u8>,
}

/// How many more bytes of a message there are to come, as far as its beginning says; none once it is whole. An error
/// says why it is no message.
pub(super) fn missing(message: &[u8]) -> Result<usize, String> {
    let (first, rest) = match message {
        [] | [SEQUENCE_TAG] => return Ok(2 - message.len()),
        [SEQUENCE_TAG, first, rest @ ..] => (*first, rest),
        _ => return Err(malformed(message)),
    };
    let (size, content) = match first {
        ..=0x7f => (u32::from(first), rest),
        0x81..=0x84 => {
            let count = usize::from(first - 0x80);
            match rest.split_at_checked(count) {
                Some((size, content)) => (number(size).ok_or_else(|| malformed(message))?, content),
                None => return Ok(count - rest.len()),
            }
        }
        _ => return Err(malformed(message)),
    };
    match size as usize {
        size @ ..=MOST => Ok(size.saturating_sub(content.len())),
        size => Err(format!("a message of {size} bytes, more than {MOST}")),
    }
}

/// Universal, constructed.
const SEQUENCE_TAG: u8 = 0x30;

impl Answer {
    /// What a whole message says in answer to the request `id`; an error says why it is no answer.
    pub(super) fn read(message: &[u8], id: u8) -> Result<Self, String> {
        let tag = Parser::new(DEPTH).parse(message).ok().filter(|(rest, _)| rest.is_empty());
        let read = tag.and_then(|(_, tag)| read(tag));
        let (answered, answer) = read.ok_or_else(|| malformed(message))?;
        match (answered, answer.kind) {
            (answered, _) if answered == u32::from(id) => Ok(answer),
            // RFC 4511 §4.4.1.
            (0, Kind::Extended) => Err(format!("the server ends the connection: {}", answer.describe())),
            _ => Err(format!("an answer to the request {answered} instead of {id}")),
        }
    }

    /// An error says what came instead of success.
    pub(super) fn accepted(&self) -> Result<(), String> {
        if self.code == 0 { Ok(()) } else { Err(self.describe()) }
    }

    /// The same for a search that was ended when enough was found.
    pub(super) fn found(&self) -> Result<(), String> {
        if self.code == SIZE_LIMIT_EXCEEDED { Ok(()) } else { self.accepted() }
    }

    /// `49 invalidCredentials: "what the server says"`
    fn describe(&self) -> String {
        let name = match self.code {
            1 => " operationsError",
            2 => " protocolError",
            3 => " timeLimitExceeded",
            SIZE_LIMIT_EXCEEDED => " sizeLimitExceeded",
            7 => " authMethodNotSupported",
            8 => " strongerAuthRequired",
            10 => " referral",
            11 => " adminLimitExceeded",
            13 => " confidentialityRequired",
            32 => " noSuchObject",
            34 => " invalidDNSyntax",
            48 => " inappropriateAuthentication",
            49 => " invalidCredentials",
            50 => " insufficientAccessRights",
            51 => " busy",
            52 => " unavailable",
            53 => " unwillingToPerform",
            _ => "",
        };
        let said =
            if self.said.is_empty() { String::new() } else { format!(": {}", text::quote(&self.said)) };
        format!("{}{name}{said}", self.code)
    }
}

const SIZE_LIMIT_EXCEEDED: u32 = 4;

/// The request that is answered, and the answer.
fn read(message: StructureTag) -> Option<(u32, Answer)> {
    let mut parts = message.expect_constructed()?.into_iter();
    let id = number(&parts.next()?.match_class(Universal)?.match_id(INTEGER)?.expect_primitive()?)?;
    let operation = parts.next()?.match_class(Application)?;
    let (kind, has_result) = match operation.id {
        1 => (Kind::Bind, true),
        4 => (Kind::Entry, false),
        5 => (Kind::Done, true),
        19 => (Kind::Reference, false),
        24 => (Kind::Extended, true),
        25 => (Kind::Intermediate, false),
        _ => return None,
    };
    let mut parts = operation.expect_constructed()?.into_iter();
    if !has_result {
        return Some((id, Answer { kind, code: 0, said: Vec::new() }));
    }
    let code = number(&parts.next()?.match_class(Universal)?.match_id(ENUMERATED)?.expect_primitive()?)?;
    let [_matched, said] = [parts.next()?, parts.next()?].map(|it| it.match_class(Universal));
    let said = said?.match_id(OCTET_STRING)?.expect_primitive()?;
    Some((id, Answer { kind, code, said }))
}

/// A number that is not negative and has up to four bytes.
fn number(bytes: &[u8]) -> Option<u32> {
    let fits = (1..=4).contains(&bytes.len());
    fits.then(|| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

fn malformed(message: &[u8]) -> String {
    format!("the answer is not LDAP's: {}", text::quote(message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Secret;

    /// RFC 4511: a BindResponse with invalidCredentials.
    const REFUSED: &[u8] = b"\x30\x0e\x02\x01\x01\x61\x09\x0a\x01\x31\x04\0\x04\x02no";

    #[test]
    fn requests() {
        let sent = |id, request| encode(id, request).unwrap();
        assert_eq!(sent(1, bind(None)), b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0"[..]);
        let login = Login { name: "cn=a".to_owned(), password: Secret::new("b") };
        assert_eq!(
            sent(2, bind(Some(&login))),
            b"\x30\x11\x02\x01\x02\x60\x0c\x02\x01\x03\x04\x04cn=a\x80\x01b"[..]
        );
        assert_eq!(sent(3, unbind()), b"\x30\x05\x02\x01\x03\x42\0"[..]);
        let whole = LdapSearch {
            base: "o=x".to_owned(),
            scope: LdapScope::Sub,
            filter: "(cn=*)".parse().unwrap(),
            min_entries: 300,
        };
        let expected =
            b"\x30\x25\x02\x01\x01\x63\x20\x04\x03o=x\x0a\x01\x02\x0a\x01\0\x02\x02\x01\x2c\x02\x01\0\
            \x01\x01\xff\x87\x02cn\x30\x05\x04\x031.1";
        assert_eq!(sent(1, search(&whole)), expected[..]);
    }

    #[test]
    fn answers() {
        let answer = Answer::read(REFUSED, 1).unwrap();
        assert_eq!(
            (answer.kind, answer.accepted()),
            (Kind::Bind, Err("49 invalidCredentials: \"no\"".into()))
        );
        assert_eq!(Answer::read(REFUSED, 2).unwrap_err(), "an answer to the request 1 instead of 2");
        let notice = [&REFUSED[..4], &[0, 0x78], &REFUSED[6..]].concat();
        let text = "the server ends the connection: 49 invalidCredentials: \"no\"";
        assert_eq!(Answer::read(&notice, 1).unwrap_err(), text);
        for end in 0..REFUSED.len() {
            assert_eq!(missing(&REFUSED[..end]).unwrap(), if end < 2 { 2 - end } else { 16 - end });
            assert!(Answer::read(&REFUSED[..end], 1).is_err());
        }
        assert_eq!(missing(REFUSED), Ok(0));
        // As Active Directory writes lengths.
        let long = [b"\x30\x84\0\0\0\x0e", &REFUSED[2..]].concat();
        assert_eq!((missing(&long[..4]), missing(&long[..7]), missing(&long)), (Ok(2), Ok(13), Ok(0)));
        assert_eq!(Answer::read(&long, 1), Ok(answer));
        let huge = "a message of 4294967295 bytes, more than 65536";
        assert_eq!(missing(b"\x30\x84\xff\xff\xff\xff").unwrap_err(), huge);
        assert!(missing(b"\x30\x80").is_err() && missing(b"HTTP/1.1").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(
            bytes in proptest::collection::vec(any::<u8>(), 0..100), at in 0..REFUSED.len(), byte in any::<u8>(),
        ) {
            let mut changed = REFUSED.to_vec();
            changed[at] = byte;
            for bytes in [bytes, changed] {
                if let Ok(more) = missing(&bytes) {
                    prop_assert!(more <= MOST);
                }
                let _ = Answer::read(&bytes, 1);
            }
        }
    }
}
