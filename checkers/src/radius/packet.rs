//! Packets on the wire (RFC 2865 §3).
//!
//! ```text
//! | code 1 | identifier 1 | length 2 | authenticator 16 | attributes: (type 1, length 1, value)… |
//! ```

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

use super::attribute::MESSAGE_AUTHENTICATOR;
use super::{MAX_PACKET, RadiusCode};

pub(super) const HEADER: usize = 20;
/// Where the authenticator begins.
const AUTHENTICATOR: usize = 4;

pub(super) type Authenticator = [u8; 16];

/// A packet that was received: its form is right, nothing is proved yet.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) code: RadiusCode,
    pub(super) identifier: u8,
    authenticator: Authenticator,
    /// All of it, without what the length leaves out.
    bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// An error says why this is no packet.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let (Some(&[code, identifier, high, low]), Some(authenticator)) =
            (bytes.first_chunk::<4>(), bytes.get(AUTHENTICATOR..HEADER))
        else {
            return Err(format!("{} bytes are too few for a RADIUS packet", bytes.len()));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(HEADER..=MAX_PACKET).contains(&length) || length > bytes.len() {
            return Err(format!("{} bytes that are no RADIUS packet: its length is {length}", bytes.len()));
        }
        let packet = Self {
            code: RadiusCode(code),
            identifier,
            authenticator: authenticator.try_into().map_err(|_| "no authenticator")?,
            bytes: &bytes[..length],
        };
        let mut end = HEADER;
        for (_, at, value) in packet.attributes() {
            end = at + value.len();
        }
        if end == length {
            Ok(packet)
        } else {
            Err(format!("a RADIUS packet whose attributes break off after {end} of {length} bytes"))
        }
    }

    /// The attributes up to the first that is malformed: type, where the value begins, and the value.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (u8, usize, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        let mut at = HEADER;
        std::iter::from_fn(move || {
            let &[kind, length] = bytes.get(at..at + 2)?.first_chunk()?;
            let value = bytes.get(at + 2..at + usize::from(length))?;
            let begin = at + 2;
            at = begin + value.len();
            Some((kind, begin, value))
        })
    }

    /// Whether the sender had the secret when it answered the request with this authenticator (RFC 2865 §3).
    pub(super) fn is_signed(&self, request: &Authenticator, secret: &[u8]) -> bool {
        response_authenticator(self.bytes, request, secret) == self.authenticator
    }

    /// The same by the Message-Authenticator (RFC 3579 §3.2); none when there is none.
    pub(super) fn has_message_authenticator(&self, request: &Authenticator, secret: &[u8]) -> Option<bool> {
        let (_, at, value) = self.attributes().find(|(kind, ..)| *kind == MESSAGE_AUTHENTICATOR)?;
        let mut bytes = self.bytes.to_vec();
        bytes[AUTHENTICATOR..HEADER].copy_from_slice(request);
        bytes[at..at + value.len()].fill(0);
        Some(value == message_authenticator(&bytes, secret))
    }
}

/// MD5 over the packet with the request's authenticator in place of its own, and the secret.
pub(super) fn response_authenticator(bytes: &[u8], request: &Authenticator, secret: &[u8]) -> Authenticator {
    let hash = Md5::new().chain_update(&bytes[..AUTHENTICATOR]).chain_update(request);
    hash.chain_update(&bytes[HEADER..]).chain_update(secret).finalize().into()
}

/// HMAC-MD5 over a packet whose own Message-Authenticator is zero.
pub(super) fn message_authenticator(bytes: &[u8], secret: &[u8]) -> Authenticator {
    match Hmac::<Md5>::new_from_slice(secret) {
        Ok(mac) => mac.chain_update(bytes).finalize().into_bytes().into(),
        // HMAC takes keys of every length.
        Err(_) => Authenticator::default(),
    }
}

/// A packet that is being made.
#[derive(Debug)]
pub(super) struct Builder(Vec<u8>);

impl Builder {
    pub(super) fn new(code: RadiusCode, identifier: u8, authenticator: &Authenticator) -> Self {
        Self([&[code.0, identifier, 0, 0], authenticator.as_slice()].concat())
    }

    /// A value of at most 253 bytes.
    pub(super) fn add(&mut self, kind: u8, value: &[u8]) {
        self.0.extend([kind, value.len() as u8 + 2]);
        self.0.extend(value);
    }

    /// Puts in the length; an error when it is too long.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, String> {
        let length = self.0.len();
        if length > MAX_PACKET {
            return Err(format!("the request has {length} bytes, and {MAX_PACKET} are the most"));
        }
        self.0[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        Ok(self.0)
    }
}
