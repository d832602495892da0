//! Filters of searches, as they are written (RFC 4515) and as they are sent (RFC 4511 §4.5.1.7).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use ldap3_lber::structure::StructureTag;

use super::message::{boolean, context, octets, sequence};

/// How deep filters may lie in each other.
const DEPTH: usize = 32;

/// Which entries a search finds: `(&(objectClass=person)(uid=probe))`. Two of the same text are the same.
#[derive(Clone)]
pub struct LdapFilter {
    text: String,
    tag: StructureTag,
}

impl LdapFilter {
    pub(super) fn tag(&self) -> StructureTag {
        self.tag.clone()
    }
}

/// Every entry.
impl Default for LdapFilter {
    fn default() -> Self {
        Self { text: "(objectClass=*)".to_owned(), tag: context(7).bytes("objectClass") }
    }
}

impl FromStr for LdapFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match filter(text, DEPTH)? {
            (tag, "") => Ok(Self { text: text.to_owned(), tag }),
            (_, rest) => Err(format!("{rest:?} stands behind its end")),
        }
    }
}

impl fmt::Display for LdapFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for LdapFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LdapFilter({})", self.text)
    }
}

impl PartialEq for LdapFilter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for LdapFilter {}

impl Hash for LdapFilter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// The filter that `text` begins with, and what follows it.
fn filter(text: &str, depth: usize) -> Result<(StructureTag, &str), String> {
    let depth = depth.checked_sub(1).ok_or("its parts lie too deep in each other")?;
    let inner = text.strip_prefix('(').ok_or_else(|| format!("a ( is missing before {text:?}"))?;
    let (tag, rest) = match inner.as_bytes().first() {
        Some(b'&') => several(0, &inner[1..], depth)?,
        Some(b'|') => several(1, &inner[1..], depth)?,
        Some(b'!') => {
            let (negated, rest) = filter(&inner[1..], depth)?;
            (context(2).of(vec![negated]), rest)
        }
        _ => {
            // Within a value the brackets are escaped.
            let end = inner.find(['(', ')']).unwrap_or(inner.len());
            (item(&inner[..end])?, &inner[end..])
        }
    };
    let rest = rest.strip_prefix(')').ok_or_else(|| format!("a ) is missing before {rest:?}"))?;
    Ok((tag, rest))
}

fn several(id: u64, mut text: &str, depth: usize) -> Result<(StructureTag, &str), String> {
    let mut parts = Vec::new();
    while text.starts_with('(') {
        let (part, rest) = filter(text, depth)?;
        parts.push(part);
        text = rest;
    }
    Ok((context(id).of(parts), text))
}

/// What stands within a pair of brackets: `uid=probe`.
fn item(text: &str) -> Result<StructureTag, String> {
    let (left, written) = text.split_once('=').ok_or_else(|| format!("a = is missing in {text:?}"))?;
    let compared =
        |id: u64, name: &str| Ok(context(id).of(vec![octets(attribute(name)?), octets(value(written)?)]));
    match left.as_bytes().last() {
        Some(b'>') => compared(5, &left[..left.len() - 1]),
        Some(b'<') => compared(6, &left[..left.len() - 1]),
        Some(b'~') => compared(8, &left[..left.len() - 1]),
        Some(b':') => extensible(&left[..left.len() - 1], written),
        _ if written == "*" => Ok(context(7).bytes(attribute(left)?)),
        _ if written.contains('*') => substrings(left, written),
        _ => compared(3, left),
    }
}

/// `cn=a*b*c`
fn substrings(name: &str, written: &str) -> Result<StructureTag, String> {
    let pieces: Vec<&str> = written.split('*').collect();
    let last = pieces.len() - 1;
    let mut parts = Vec::new();
    for (at, piece) in pieces.into_iter().enumerate() {
        let id = match at {
            0 => 0,
            _ if at == last => 2,
            _ => 1,
        };
        if !piece.is_empty() {
            parts.push(context(id).bytes(value(piece)?));
        } else if id == 1 {
            return Err(format!("there is nothing between two * in {written:?}"));
        }
    }
    Ok(context(4).of(vec![octets(attribute(name)?), sequence(parts)]))
}

/// `cn:dn:2.4.6.8:=value`, of which the parts before the last are optional, but not all at once.
fn extensible(left: &str, written: &str) -> Result<StructureTag, String> {
    let mut parts = left.split(':');
    let name = parts.next().filter(|name| !name.is_empty());
    let mut rule = parts.next();
    let whole_name = rule.is_some_and(|rule| rule.eq_ignore_ascii_case("dn"));
    if whole_name {
        rule = parts.next();
    }
    if parts.next().is_some() || (name.is_none() && rule.is_none()) {
        return Err(format!("{left:?} is no attribute with a matching rule"));
    }
    let mut fields = Vec::new();
    if let Some(rule) = rule {
        fields.push(context(1).bytes(attribute(rule)?));
    }
    if let Some(name) = name {
        fields.push(context(2).bytes(attribute(name)?));
    }
    fields.push(context(3).bytes(value(written)?));
    if whole_name {
        fields.push(boolean(context(4), true));
    }
    Ok(context(9).of(fields))
}

/// The name or the number of an attribute or a rule, with its options (RFC 4512 §2.5).
fn attribute(name: &str) -> Result<Vec<u8>, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b';' | b'_');
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(format!("{name:?} is no name of an attribute"));
    }
    Ok(name.as_bytes().to_vec())
}

/// A value, in which two hexadecimal digits after a backslash stand for a byte.
fn value(written: &str) -> Result<Vec<u8>, String> {
    let mut pieces = written.split('\\');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let byte = piece.get(..2).filter(|digits| digits.bytes().all(|it| it.is_ascii_hexdigit()));
        let byte = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| format!("two hexadecimal digits must follow each \\ in {written:?}"))?);
        bytes.extend(&piece.as_bytes()[2..]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::message::bytes_of;
    use super::*;

    fn sent(text: &str) -> Vec<u8> {
        bytes_of(text.parse::<LdapFilter>().unwrap_or_else(|why| panic!("{text}: {why}")).tag())
            .unwrap()
            .to_vec()
    }

    #[test]
    fn are_sent_as_the_rfc_says() {
        let every = LdapFilter::default();
        assert_eq!(every.tag(), every.to_string().parse::<LdapFilter>().unwrap().tag());
        for (text, expected) in [
            ("(uid=x)", &b"\xa3\x08\x04\x03uid\x04\x01x"[..]),
            ("(uid=*)", b"\x87\x03uid"),
            ("(uid=)", b"\xa3\x07\x04\x03uid\x04\0"),
            ("(n>=1)", b"\xa5\x06\x04\x01n\x04\x011"),
            ("(n<=1)", b"\xa6\x06\x04\x01n\x04\x011"),
            ("(n~=1)", b"\xa8\x06\x04\x01n\x04\x011"),
            ("(!(n=1))", b"\xa2\x08\xa3\x06\x04\x01n\x04\x011"),
            ("(&(n=1)(|(m=*)))", b"\xa0\x0d\xa3\x06\x04\x01n\x04\x011\xa1\x03\x87\x01m"),
            // RFC 4526: true and false.
            ("(&)", b"\xa0\0"),
            ("(|)", b"\xa1\0"),
            ("(n=a*b*c)", b"\xa4\x0e\x04\x01n\x30\x09\x80\x01a\x81\x01b\x82\x01c"),
            ("(n=*b*)", b"\xa4\x08\x04\x01n\x30\x03\x81\x01b"),
            (r"(n=\28\2a\5c\00)", b"\xa3\x09\x04\x01n\x04\x04(*\\\0"),
            ("(m=cn=x, dc=y)", b"\xa3\x0f\x04\x01m\x04\x0acn=x, dc=y"),
            ("(cn;lang-de=x)", b"\xa3\x0f\x04\x0acn;lang-de\x04\x01x"),
            ("(n:dn:2.5.13:=x)", b"\xa9\x11\x81\x062.5.13\x82\x01n\x83\x01x\x84\x01\xff"),
            ("(:2.5.13:=x)", b"\xa9\x0b\x81\x062.5.13\x83\x01x"),
            ("(n:=x)", b"\xa9\x06\x82\x01n\x83\x01x"),
        ] {
            assert_eq!(sent(text), expected, "{text}");
        }
    }

    #[test]
    fn mistakes() {
        for (text, why) in [
            ("", "a ( is missing before \"\""),
            ("uid=x", "a ( is missing before \"uid=x\""),
            ("(uid=x", "a ) is missing before \"\""),
            ("(uid=(x))", "a ) is missing before \"(x))\""),
            ("(uid=x)y", "\"y\" stands behind its end"),
            ("(uid)", "a = is missing in \"uid\""),
            ("(u id=x)", "\"u id\" is no name of an attribute"),
            ("(=x)", "\"\" is no name of an attribute"),
            ("(uid=a**b)", "there is nothing between two * in \"a**b\""),
            (r"(uid=\2)", r#"two hexadecimal digits must follow each \ in "\\2""#),
            (r"(uid=\+1)", r#"two hexadecimal digits must follow each \ in "\\+1""#),
            ("(:dn:=x)", "\":dn\" is no attribute with a matching rule"),
            ("(!uid=x)", "a ( is missing before \"uid=x)\""),
        ] {
            assert_eq!(text.parse::<LdapFilter>().unwrap_err(), why, "{text}");
        }
        let deep = format!("{}(a=b){}", "(!".repeat(DEPTH), ")".repeat(DEPTH));
        assert_eq!(deep.parse::<LdapFilter>().unwrap_err(), "its parts lie too deep in each other");
        assert!(deep[2..deep.len() - 1].parse::<LdapFilter>().is_ok());
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in r"[()&|!=*\\:<a1é]{0,40}") {
            let _ = text.parse::<LdapFilter>();
        }
    }
}
