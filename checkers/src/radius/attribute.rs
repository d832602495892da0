//! Attributes (RFC 2865 §5).

use std::fmt;
use std::net::Ipv4Addr;

use crate::text;

/// An attribute and its value, 1 to 253 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RadiusAttribute {
    kind: u8,
    value: Vec<u8>,
}

pub(super) const USER_NAME: u8 = 1;
pub(super) const USER_PASSWORD: u8 = 2;
pub(super) const CHAP_PASSWORD: u8 = 3;
pub(super) const REPLY_MESSAGE: u8 = 18;
pub(super) const VENDOR_SPECIFIC: u8 = 26;
pub(super) const NAS_IDENTIFIER: u8 = 32;
pub(super) const ACCT_STATUS_TYPE: u8 = 40;
pub(super) const ACCT_SESSION_ID: u8 = 44;
pub(super) const CHAP_CHALLENGE: u8 = 60;
pub(super) const EAP_MESSAGE: u8 = 79;
pub(super) const MESSAGE_AUTHENTICATOR: u8 = 80;

/// What the check sends by itself, or cannot send as one attribute.
const OWN: [u8; 7] = [
    USER_NAME,
    USER_PASSWORD,
    CHAP_PASSWORD,
    VENDOR_SPECIFIC,
    CHAP_CHALLENGE,
    EAP_MESSAGE,
    MESSAGE_AUTHENTICATOR,
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Integer,
    Address,
}

/// Those that requests and replies of a check may have (RFC 2865, RFC 2866, RFC 2869, RFC 3162).
const NAMES: [(&str, u8, Form); 28] = [
    ("NAS-IP-Address", 4, Form::Address),
    ("NAS-Port", 5, Form::Integer),
    ("Service-Type", 6, Form::Integer),
    ("Framed-Protocol", 7, Form::Integer),
    ("Framed-IP-Address", 8, Form::Address),
    ("Framed-IP-Netmask", 9, Form::Address),
    ("Filter-Id", 11, Form::Text),
    ("Framed-MTU", 12, Form::Integer),
    ("Reply-Message", REPLY_MESSAGE, Form::Text),
    ("Callback-Number", 19, Form::Text),
    ("Framed-Route", 22, Form::Text),
    ("State", 24, Form::Text),
    ("Class", 25, Form::Text),
    ("Session-Timeout", 27, Form::Integer),
    ("Idle-Timeout", 28, Form::Integer),
    ("Termination-Action", 29, Form::Integer),
    ("Called-Station-Id", 30, Form::Text),
    ("Calling-Station-Id", 31, Form::Text),
    ("NAS-Identifier", NAS_IDENTIFIER, Form::Text),
    ("Proxy-State", 33, Form::Text),
    ("Acct-Status-Type", ACCT_STATUS_TYPE, Form::Integer),
    ("Acct-Session-Id", ACCT_SESSION_ID, Form::Text),
    ("Acct-Authentic", 45, Form::Integer),
    ("NAS-Port-Type", 61, Form::Integer),
    ("Connect-Info", 77, Form::Text),
    ("Acct-Interim-Interval", 85, Form::Integer),
    ("NAS-Port-Id", 87, Form::Text),
    ("Framed-Pool", 88, Form::Text),
];

impl RadiusAttribute {
    /// With a text, or an address where the attribute has one. `name` is the attribute's name or number. An error
    /// says what is wrong.
    pub fn text(name: &str, value: &str) -> Result<Self, String> {
        let (kind, form) = find(name)?;
        let value = match form {
            Some(Form::Integer) => return Err(format!("{name} has a number, not a text")),
            Some(Form::Address) => match value.parse::<Ipv4Addr>() {
                Ok(address) => address.octets().to_vec(),
                Err(_) => return Err(format!("{name} has an IPv4 address, not {value:?}")),
            },
            Some(Form::Text) | None => value.as_bytes().to_vec(),
        };
        if (1..=253).contains(&value.len()) {
            Ok(Self { kind, value })
        } else {
            Err(format!("{name} must have 1 to 253 bytes, not {}", value.len()))
        }
    }

    /// With a number.
    pub fn integer(name: &str, value: u32) -> Result<Self, String> {
        match find(name)? {
            (kind, Some(Form::Integer) | None) => Ok(Self { kind, value: value.to_be_bytes().to_vec() }),
            (_, Some(Form::Text)) => Err(format!("{name} has a text, not a number")),
            (_, Some(Form::Address)) => Err(format!("{name} has an IPv4 address, not a number")),
        }
    }

    pub(super) fn kind(&self) -> u8 {
        self.kind
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }
}

/// `Filter-Id = "guests"`
impl fmt::Display for RadiusAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = NAMES.iter().find(|(_, kind, _)| *kind == self.kind);
        match named {
            Some((name, ..)) => write!(f, "{name} = ")?,
            None => write!(f, "{} = ", self.kind)?,
        }
        match (named.map(|(_, _, form)| form), self.value.as_slice()) {
            (Some(Form::Integer), &[a, b, c, d]) => write!(f, "{}", u32::from_be_bytes([a, b, c, d])),
            (Some(Form::Address), &[a, b, c, d]) => write!(f, "{}", Ipv4Addr::new(a, b, c, d)),
            (_, value) => f.write_str(&text::quote(value)),
        }
    }
}

fn find(name: &str) -> Result<(u8, Option<Form>), String> {
    let named = NAMES.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
    let (kind, form) = match (named, name.parse::<u8>()) {
        (Some((_, kind, form)), _) => (*kind, Some(*form)),
        (None, Ok(kind)) => {
            (kind, NAMES.iter().find(|(_, known, _)| *known == kind).map(|(_, _, form)| *form))
        }
        (None, Err(_)) => {
            return Err(format!("there is no attribute named {name:?} here; its number will do"));
        }
    };
    if kind == 0 || OWN.contains(&kind) {
        return Err(format!("the attribute {name} cannot be written here"));
    }
    Ok((kind, form))
}
