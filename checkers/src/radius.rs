//! RADIUS checks: one request (RFC 2865, RFC 2866, RFC 5997) over UDP.
//!
//! A reply counts only if it proves that its sender has the secret: by the Response Authenticator, and where an
//! Access-Request or a Status-Server is answered by a Message-Authenticator too, since the former alone can be forged
//! (CVE-2024-3596).

mod attribute;
mod ms_chap;
mod packet;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use std::fmt;

use self::request::{Random, Request};
use crate::trace::Trace;
use crate::{Outcome, Secret, Target, datagram};

pub use attribute::RadiusAttribute;

/// The longest packet (RFC 2865 §3).
const MAX_PACKET: usize = 4096;

/// A request and what its reply must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RadiusSpec {
    /// What is asked.
    pub request: RadiusRequest,
    /// What the server and its clients share.
    pub secret: Secret,
    /// Further attributes of the request, in this order.
    pub attributes: Vec<RadiusAttribute>,
    /// Codes of acceptable replies; never empty.
    pub expected: Vec<RadiusCode>,
    /// Attributes that the reply must have.
    pub reply: Vec<RadiusAttribute>,
    /// Whether a reply to an Access-Request or a Status-Server must have a Message-Authenticator. One that is there is
    /// verified in any case.
    pub message_authenticator: bool,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RadiusRequest {
    /// Access-Request: a user logs in.
    Access {
        /// Who.
        user: String,
        /// With what.
        password: Secret,
        /// How the password is proved.
        method: RadiusMethod,
    },
    /// Accounting-Request: an interim update, unless the attributes say otherwise.
    Accounting,
    /// Status-Server: whether the server is there (RFC 5997).
    Status,
}

/// How a user proves to have a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RadiusMethod {
    /// It is sent, hidden by the secret (RFC 2865 §5.2).
    Pap,
    /// A digest of it and a challenge is sent (RFC 2865 §5.3).
    Chap,
    /// MS-CHAPv2, in which the server proves to have it too (RFC 2548, RFC 2759).
    MsChapV2,
}

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RadiusCode(u8);

impl RadiusCode {
    /// The user may come in.
    pub const ACCESS_ACCEPT: Self = Self(2);
    /// The user may not.
    pub const ACCESS_REJECT: Self = Self(3);
    /// Accounting data was taken.
    pub const ACCOUNTING_RESPONSE: Self = Self(5);
    /// The user has to say more.
    pub const ACCESS_CHALLENGE: Self = Self(11);

    const ACCESS_REQUEST: Self = Self(1);
    const ACCOUNTING_REQUEST: Self = Self(4);
    const STATUS_SERVER: Self = Self(12);
}

impl fmt::Display for RadiusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ACCESS_REQUEST => f.write_str("Access-Request"),
            Self::ACCESS_ACCEPT => f.write_str("Access-Accept"),
            Self::ACCESS_REJECT => f.write_str("Access-Reject"),
            Self::ACCOUNTING_REQUEST => f.write_str("Accounting-Request"),
            Self::ACCOUNTING_RESPONSE => f.write_str("Accounting-Response"),
            Self::ACCESS_CHALLENGE => f.write_str("Access-Challenge"),
            Self::STATUS_SERVER => f.write_str("Status-Server"),
            Self(other) => write!(f, "code {other}"),
        }
    }
}

/// Asks and judges. Either result is the outcome; an error ended the exchange early.
pub(crate) async fn ask(target: &Target, spec: &RadiusSpec, trace: &Trace) -> Result<Outcome, Outcome> {
    let request = Request::new(spec, &Random::new()).map_err(Outcome::NotRun)?;
    let what = format!("reply to {}", request.code());
    let read =
        |bytes: &[u8]| reply::read(bytes, &request, spec).map(|packet| reply::judge(&packet, &request, spec));
    let judged = datagram::ask(target, request.bytes(), MAX_PACKET, &what, trace, read).await?;
    Ok(match judged {
        Ok(text) => Outcome::Passed(text),
        Err(text) => Outcome::WrongAnswer(text),
    })
}

/// What is made of a packet, whether or not it proves to be the server's.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) -> Vec<String> {
    let (user, password) = ("probe".to_owned(), Secret::new("lion"));
    let spec = RadiusSpec {
        request: RadiusRequest::Access { user, password, method: RadiusMethod::MsChapV2 },
        secret: Secret::new("secret"),
        attributes: Vec::new(),
        expected: vec![RadiusCode::ACCESS_ACCEPT],
        reply: Vec::from_iter(RadiusAttribute::text("Filter-Id", "staff").ok()),
        message_authenticator: true,
    };
    let random = Random { identifier: 7, authenticator: [9; 16], challenges: [[1; 16], [2; 16]] };
    let Ok(request) = Request::new(&spec, &random) else { return Vec::new() };
    let judged = |packet: packet::Packet<'_>| reply::judge(&packet, &request, &spec);
    let proved = reply::read(bytes, &request, &spec).and_then(judged);
    let parsed = packet::Packet::parse(bytes).and_then(judged);
    [proved, parsed].map(|said| said.unwrap_or_else(|why| why)).to_vec()
}
