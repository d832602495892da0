//! The request of a check.

use md5::{Digest, Md5};

use super::attribute::{
    ACCT_SESSION_ID, ACCT_STATUS_TYPE, CHAP_PASSWORD, MESSAGE_AUTHENTICATOR, NAS_IDENTIFIER, USER_NAME,
    USER_PASSWORD, VENDOR_SPECIFIC,
};
use super::ms_chap::Exchange;
use super::packet::{Authenticator, Builder, HEADER, message_authenticator, response_authenticator};
use super::{RadiusCode, RadiusMethod, RadiusRequest, RadiusSpec};

/// An interim update of a session: the value of Acct-Status-Type that begins and ends nothing.
const INTERIM_UPDATE: u32 = 3;

/// What cannot be guessed about a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Random {
    pub(super) identifier: u8,
    pub(super) authenticator: Authenticator,
    /// What the server and the user challenge each other with in MS-CHAPv2.
    pub(super) challenges: [Authenticator; 2],
}

impl Random {
    pub(super) fn new() -> Self {
        Self { identifier: rand::random(), authenticator: rand::random(), challenges: rand::random() }
    }
}

/// A request and what is needed to know its reply.
#[derive(Debug)]
pub(super) struct Request {
    code: RadiusCode,
    identifier: u8,
    authenticator: Authenticator,
    /// Where the user and the server prove to each other that they have the password.
    exchange: Option<Exchange>,
    bytes: Vec<u8>,
}

impl Request {
    /// An error says why there can be no such request.
    pub(super) fn new(spec: &RadiusSpec, random: &Random) -> Result<Self, String> {
        let code = match spec.request {
            RadiusRequest::Access { .. } => RadiusCode::ACCESS_REQUEST,
            RadiusRequest::Accounting => RadiusCode::ACCOUNTING_REQUEST,
            RadiusRequest::Status => RadiusCode::STATUS_SERVER,
        };
        let secret = spec.secret.expose().as_bytes();
        let signed = code == RadiusCode::ACCOUNTING_REQUEST;
        let mut authenticator = if signed { Authenticator::default() } else { random.authenticator };
        let mut packet = Builder::new(code, random.identifier, &authenticator);
        if !signed {
            // The first of all, so that nothing can be put before it.
            packet.add(MESSAGE_AUTHENTICATOR, &Authenticator::default());
        }
        let exchange = credentials(&mut packet, spec, random);
        defaults(&mut packet, spec);
        for attribute in &spec.attributes {
            packet.add(attribute.kind(), attribute.value());
        }
        let mut bytes = packet.finish()?;
        if signed {
            authenticator = response_authenticator(&bytes, &authenticator, secret);
            bytes[HEADER - 16..HEADER].copy_from_slice(&authenticator);
        } else {
            let mac = message_authenticator(&bytes, secret);
            bytes[HEADER + 2..HEADER + 18].copy_from_slice(&mac);
        }
        Ok(Self { code, identifier: random.identifier, authenticator, exchange, bytes })
    }

    pub(super) fn code(&self) -> RadiusCode {
        self.code
    }

    pub(super) fn identifier(&self) -> u8 {
        self.identifier
    }

    pub(super) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    pub(super) fn exchange(&self) -> Option<&Exchange> {
        self.exchange.as_ref()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Who logs in, and how that is proved.
fn credentials(packet: &mut Builder, spec: &RadiusSpec, random: &Random) -> Option<Exchange> {
    let RadiusRequest::Access { user, password, method } = &spec.request else { return None };
    packet.add(USER_NAME, user.as_bytes());
    let password = password.expose();
    match method {
        RadiusMethod::Pap => {
            let hidden = hide(password.as_bytes(), &random.authenticator, spec.secret.expose().as_bytes());
            packet.add(USER_PASSWORD, &hidden);
            None
        }
        RadiusMethod::Chap => {
            // The Request Authenticator is the challenge where there is no other (RFC 2865 §2.2).
            let hash = Md5::new().chain_update([random.identifier]).chain_update(password);
            let digest = hash.chain_update(random.authenticator).finalize();
            packet.add(CHAP_PASSWORD, &[&[random.identifier], digest.as_slice()].concat());
            None
        }
        RadiusMethod::MsChapV2 => {
            let exchange = Exchange::new(user, password, random.identifier, random.challenges);
            for attribute in exchange.attributes() {
                packet.add(VENDOR_SPECIFIC, &attribute);
            }
            Some(exchange)
        }
    }
}

/// What a request must have and was not written.
fn defaults(packet: &mut Builder, spec: &RadiusSpec) {
    let missing = |kind| !spec.attributes.iter().any(|attribute| attribute.kind() == kind);
    if missing(NAS_IDENTIFIER) {
        packet.add(NAS_IDENTIFIER, b"tidegate");
    }
    if spec.request == RadiusRequest::Accounting {
        if missing(ACCT_STATUS_TYPE) {
            packet.add(ACCT_STATUS_TYPE, &INTERIM_UPDATE.to_be_bytes());
        }
        if missing(ACCT_SESSION_ID) {
            packet.add(ACCT_SESSION_ID, b"tidegate-check");
        }
    }
}

/// A password of at most 128 bytes, hidden by the secret (RFC 2865 §5.2).
pub(super) fn hide(password: &[u8], authenticator: &Authenticator, secret: &[u8]) -> Vec<u8> {
    let mut hidden = password.to_vec();
    hidden.resize(password.len().max(1).next_multiple_of(16), 0);
    let mut before = *authenticator;
    for block in hidden.chunks_exact_mut(16) {
        let mask = Md5::new().chain_update(secret).chain_update(before).finalize();
        for (byte, mask) in block.iter_mut().zip(mask) {
            *byte ^= mask;
        }
        before.copy_from_slice(block);
    }
    hidden
}
