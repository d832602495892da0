//! What was captured: ipvsadm's requests and the kernel's answers.

use netlink_packet_core::{DecodeError, Emitable, ParseableParametrized};
use netlink_packet_generic::GenlMessage;
use tidegate_ipvs::wire::Message;

/// One captured message.
pub(crate) struct Captured {
    /// The command that led to it.
    pub(crate) command: &'static str,
    /// Generic netlink header and attributes.
    pub(crate) bytes: Vec<u8>,
}

/// What ipvsadm sent.
pub(crate) fn requests() -> Vec<Captured> {
    parse(include_str!("../fixtures/requests.hex"))
}

/// What the kernel answered.
pub(crate) fn answers() -> Vec<Captured> {
    parse(include_str!("../fixtures/answers.hex"))
}

fn parse(text: &'static str) -> Vec<Captured> {
    let mut command = "";
    let mut captured = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(comment) => command = comment,
            None => captured.push(Captured { command, bytes: from_hex(line) }),
        }
    }
    captured
}

fn from_hex(line: &str) -> Vec<u8> {
    let digits: Vec<u32> = line.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    GenlMessage::<Message>::parse_with_param(bytes, 0).map(|message| message.payload)
}

pub(crate) fn encode(message: Message) -> Vec<u8> {
    let message = GenlMessage::from_payload(message);
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}
