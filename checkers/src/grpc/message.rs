//! The two messages of a health check, in protocol buffers' encoding with gRPC's prefix.
//!
//! ```text
//! message HealthCheckRequest { string service = 1; }
//! message HealthCheckResponse { ServingStatus status = 1; }
//! ```

use std::fmt;

use bytes::BufMut;

/// `HealthCheckRequest` about `service`.
pub(super) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(1 << 3 | LENGTH_DELIMITED);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut framed = vec![0]; // not compressed
    framed.put_u32(message.len() as u32); // bounded by the configuration
    framed.extend(message);
    framed
}

/// The status in the one `HealthCheckResponse` that `framed` consists of; an error says why it is none.
pub(super) fn read(framed: &[u8]) -> Result<Serving, &'static str> {
    let (compressed, rest) = framed.split_first().ok_or("is empty")?;
    let (size, message) = rest.split_first_chunk().ok_or("is cut off")?;
    match compressed {
        0 if u32::from_be_bytes(*size) as usize == message.len() => {}
        0 => return Err("has not the length that it says"),
        _ => return Err("is compressed although nobody asked for that"),
    }
    status(message).ok_or("is no HealthCheckResponse")
}

/// `HealthCheckResponse.ServingStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Serving(u64);

impl Serving {
    pub(super) const YES: Self = Self(1);
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("UNKNOWN"),
            1 => f.write_str("SERVING"),
            2 => f.write_str("NOT_SERVING"),
            3 => f.write_str("SERVICE_UNKNOWN"),
            other => write!(f, "the status {other}"),
        }
    }
}

// Types of fields (https://protobuf.dev/programming-guides/encoding/).
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const LENGTH_DELIMITED: u8 = 2;
const FIXED_32: u8 = 5;

/// The last value of field 1; what is not there is 0. None where the bytes are no message.
fn status(mut message: &[u8]) -> Option<Serving> {
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let value = match (key & 7) as u8 {
            VARINT => varint(&mut message)?,
            FIXED_64 => skip(&mut message, 8)?,
            LENGTH_DELIMITED => {
                let size = varint(&mut message)?;
                skip(&mut message, size)?
            }
            FIXED_32 => skip(&mut message, 4)?,
            _ => return None,
        };
        if key == 1 << 3 {
            status = value;
        }
    }
    Some(Serving(status))
}

fn skip(message: &mut &[u8], size: u64) -> Option<u64> {
    *message = message.get(usize::try_from(size).ok()?..)?;
    Some(0)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests() {
        assert_eq!(request(""), [0; 5]);
        assert_eq!(request("shop"), b"\0\0\0\0\x06\x0a\x04shop");
        let long = request(&"s".repeat(200));
        assert_eq!((&long[..8], long.len()), (&b"\0\0\0\0\xcb\x0a\xc8\x01"[..], 208));
    }

    #[test]
    fn responses() {
        for (framed, said) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], "SERVING"),
            (b"\0\0\0\0\x02\x08\x02", "NOT_SERVING"),
            (b"\0\0\0\0\0", "UNKNOWN"),
            (b"\0\0\0\0\x02\x08\x63", "the status 99"),
            // Fields that we do not know, before and behind.
            (b"\0\0\0\0\x0c\x12\x02hi\x1d1234\x08\x03\x20", "is no HealthCheckResponse"),
            (b"\0\0\0\0\x0d\x12\x02hi\x1d1234\x08\x03\x20\x07", "SERVICE_UNKNOWN"),
            (b"", "is empty"),
            (b"\0\0\0", "is cut off"),
            (b"\0\0\0\0\x02\x08", "has not the length that it says"),
            (b"\x01\0\0\0\x02\x08\x01", "is compressed although nobody asked for that"),
        ] {
            let read = read(framed).map_or_else(str::to_owned, |serving| serving.to_string());
            assert_eq!(read, said, "{framed:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..100), service in ".{0,300}") {
            let _ = read(&bytes);
            let _ = status(&bytes);
            // A request has the form of an answer, but for what its field is.
            prop_assert_eq!(read(&request(&service)), Ok(Serving(0)));
        }
    }
}
