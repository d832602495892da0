//! Whether a packet is the server's reply, and the expected one.

use super::attribute::{REPLY_MESSAGE, VENDOR_SPECIFIC};
use super::packet::Packet;
use super::request::Request;
use super::{RadiusCode, RadiusRequest, RadiusSpec};
use crate::text;

/// The reply to the request; an error says why it may not come from the server.
pub(super) fn read<'a>(bytes: &'a [u8], request: &Request, spec: &RadiusSpec) -> Result<Packet<'a>, String> {
    let packet = Packet::parse(bytes)?;
    let (code, secret) = (packet.code, spec.secret.expose().as_bytes());
    if packet.identifier != request.identifier() {
        return Err(format!(
            "a reply ({code}) to another request: its identifier is {} instead of {}",
            packet.identifier,
            request.identifier()
        ));
    }
    if !packet.is_signed(request.authenticator(), secret) {
        return Err(format!(
            "a reply ({code}) whose Response Authenticator is wrong: it is forged or a replay, or the server has \
             another secret"
        ));
    }
    let needed = spec.message_authenticator && spec.request != RadiusRequest::Accounting;
    match packet.has_message_authenticator(request.authenticator(), secret) {
        Some(false) => Err(format!("a reply ({code}) whose Message-Authenticator is wrong: it is forged")),
        None if needed => {
            Err(format!("a reply ({code}) without a Message-Authenticator: it may be forged (CVE-2024-3596)"))
        }
        _ => Ok(packet),
    }
}

/// What the reply says; an error says what it says instead of what.
pub(super) fn judge(packet: &Packet<'_>, request: &Request, spec: &RadiusSpec) -> Result<String, String> {
    let said = match values(packet, REPLY_MESSAGE).next() {
        Some(message) => format!("{} {}", packet.code, text::quote(message)),
        None => packet.code.to_string(),
    };
    if !spec.expected.contains(&packet.code) {
        let expected: Vec<_> = spec.expected.iter().map(ToString::to_string).collect();
        return Err(format!("{said} instead of {}", expected.join(", ")));
    }
    if packet.code == RadiusCode::ACCESS_ACCEPT
        && let Some(exchange) = request.exchange()
        && !values(packet, VENDOR_SPECIFIC).any(|value| exchange.is_proved_by(value))
    {
        return Err(format!(
            "{said}, but without the proof that the server has the password (MS-CHAP2-Success)"
        ));
    }
    for attribute in &spec.reply {
        let mut found = values(packet, attribute.kind()).peekable();
        if found.peek().is_none() {
            return Err(format!("{said}, but {attribute} is missing"));
        }
        if !found.any(|value| value == attribute.value()) {
            let first = values(packet, attribute.kind()).next().map(text::quote).unwrap_or_default();
            return Err(format!("{said}, but not with {attribute}: it is {first}"));
        }
    }
    Ok(said)
}

fn values<'a>(packet: &Packet<'a>, kind: u8) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    packet.attributes().filter(move |(other, ..)| *other == kind).map(|(.., value)| value)
}
