//! Packets: three bytes of length, a number that counts up, and what is in it.

use bytes::{Buf, BytesMut};

use crate::sql::MOST;
use crate::stream::{Stream, Tls};
use crate::{Outcome, text};

pub(super) struct Wire {
    stream: Stream,
    /// Of the next packet, ours or theirs.
    sequence: u8,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, sequence: 0 }
    }

    /// A new command counts from 0.
    pub(super) fn begin(&mut self) {
        self.sequence = 0;
    }

    pub(super) async fn start_tls(self, tls: &Tls) -> Result<Self, Outcome> {
        Ok(Self { stream: self.stream.start_tls(tls).await?, ..self })
    }

    pub(super) async fn send(&mut self, content: &[u8]) -> Result<(), Outcome> {
        // Bounded by the configuration, far below what has to be split.
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let mut packet = size.to_le_bytes().to_vec();
        packet[3] = self.sequence;
        packet.extend_from_slice(content);
        self.sequence = self.sequence.wrapping_add(1);
        self.stream.send(&packet).await
    }

    pub(super) async fn receive(&mut self) -> Result<BytesMut, Outcome> {
        let head = self.stream.exactly(4).await?;
        let size = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
        if size > MOST {
            let start = text::quote(&head);
            return Err(Outcome::WrongAnswer(format!(
                "the answer is not MySQL's, or a packet of {size} bytes; it begins with {start}"
            )));
        }
        self.sequence = head[3].wrapping_add(1);
        self.stream.exactly(size).await
    }
}

/// What the server says first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) capabilities: u32,
    pub(super) seed: Vec<u8>,
    pub(super) plugin: Vec<u8>,
}

impl Greeting {
    pub(super) fn read(packet: &[u8]) -> Result<Self, Outcome> {
        match packet.split_first() {
            Some((0xff, error)) => Err(refused("connection", error)),
            Some((10, mut rest)) => Self::parse(&mut rest).ok_or_else(|| malformed("greeting", packet)),
            _ => Err(malformed("greeting", packet)),
        }
    }

    fn parse(rest: &mut &[u8]) -> Option<Self> {
        // The version, and the connection's number.
        nul_terminated(rest).ok()?;
        rest.try_get_u32_le().ok()?;
        let mut seed = rest.get(..9)?[..8].to_vec();
        rest.advance(9);
        let low = rest.try_get_u16_le().ok()?;
        // The character set and the status.
        rest.try_get_u8().ok()?;
        rest.try_get_u16_le().ok()?;
        let high = rest.try_get_u16_le().ok()?;
        let length = usize::from(rest.try_get_u8().ok()?);
        let more = length.saturating_sub(8).max(13);
        let further = rest.get(10..10 + more)?;
        seed.extend_from_slice(further.strip_suffix(b"\0").unwrap_or(further));
        rest.advance(10 + more);
        let plugin = rest.strip_suffix(b"\0").unwrap_or(rest).to_vec();
        Some(Self { capabilities: u32::from(high) << 16 | u32::from(low), seed, plugin })
    }
}

pub(super) fn nul_terminated(rest: &mut &[u8]) -> Result<Vec<u8>, Outcome> {
    let end = rest.iter().position(|byte| *byte == 0).ok_or_else(|| malformed("answer", rest))?;
    let text = rest[..end].to_vec();
    rest.advance(end + 1);
    Ok(text)
}

/// An integer with its length.
pub(super) fn number(rest: &mut &[u8]) -> Result<u64, Outcome> {
    let whole = *rest;
    let read = |rest: &mut &[u8]| match rest.try_get_u8()? {
        0xfc => rest.try_get_uint_le(2),
        0xfd => rest.try_get_uint_le(3),
        0xfe => rest.try_get_uint_le(8),
        small => Ok(u64::from(small)),
    };
    read(rest).map_err(|_| malformed("answer to the query", whole))
}

/// A text with its length; none is NULL.
pub(super) fn value(rest: &mut &[u8]) -> Result<Option<Vec<u8>>, Outcome> {
    if rest.first() == Some(&0xfb) {
        return Ok(None);
    }
    let whole = *rest;
    let size = number(rest)?;
    let text = usize::try_from(size).ok().and_then(|size| rest.get(..size));
    text.map(|text| Some(text.to_vec())).ok_or_else(|| malformed("row", whole))
}

/// An error's number, its state, and its text.
pub(super) fn refused(what: &str, mut error: &[u8]) -> Outcome {
    let number = error.try_get_u16_le().unwrap_or_default();
    let message = if error.first() == Some(&b'#') { error.get(6..).unwrap_or_default() } else { error };
    Outcome::WrongAnswer(format!("the {what} was refused: error {number}, {}", text::quote(message)))
}

pub(super) fn malformed(what: &str, packet: &[u8]) -> Outcome {
    Outcome::WrongAnswer(format!("the {what} is not MySQL's: {}", text::quote(packet)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn greetings() {
        let packet = b"\n8.0.36\0\x08\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0\
            ijklmnopqrst\0caching_sha2_password\0";
        let greeting = Greeting::read(packet).unwrap();
        assert_eq!(greeting.seed, b"abcdefghijklmnopqrst");
        assert_eq!(greeting.plugin, b"caching_sha2_password");
        assert_eq!(greeting.capabilities, 0xdfff_ffff);
        let busy = Greeting::read(b"\xff\x10\x04Too many connections").unwrap_err();
        let text = "the connection was refused: error 1040, \"Too many connections\"";
        assert_eq!(busy, Outcome::WrongAnswer(text.to_owned()));
    }

    #[test]
    fn values() {
        assert_eq!(value(&mut &b"\x02ab\x01c"[..]), Ok(Some(b"ab".to_vec())));
        assert_eq!(value(&mut &b"\xfb"[..]), Ok(None));
        assert_eq!(number(&mut &b"\xfc\x01\x02"[..]), Ok(0x201));
        assert!(value(&mut &b"\x05ab"[..]).is_err() && number(&mut &b"\xfd\0"[..]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Greeting::read(&bytes);
            let _ = Greeting::read(&[b"\n", &bytes[..]].concat());
            let _ = (value(&mut &bytes[..]), number(&mut &bytes[..]), refused("x", &bytes));
        }
    }
}
