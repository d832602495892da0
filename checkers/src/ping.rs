//! Ping checks: one ICMP echo (RFC 792, RFC 4443 §4).

use crate::checksum::checksum;
use crate::trace::Trace;
use crate::{Outcome, Target, datagram, socket};

/// Type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;
/// An IPv4 header is no longer than this.
const MAX_IP_HEADER: usize = 60;

/// An echo.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PingSpec {
    /// Bytes of data in the echo, at least 8.
    pub size: u16,
}

/// Asks and judges. Either result is the outcome; an error ended the exchange early.
pub(crate) async fn ask(target: &Target, spec: &PingSpec, trace: &Trace) -> Result<Outcome, Outcome> {
    let (socket, raw) = socket::echo(target)?;
    let echo = Echo { v4: target.address.is_ipv4(), data: data(spec.size, rand::random()) };
    let request = echo.request(rand::random());
    let most = MAX_IP_HEADER + request.len() + 1;
    let read = |bytes: &[u8]| echo.read(if raw && echo.v4 { without_ip_header(bytes) } else { bytes });
    datagram::exchange(socket, target, &request, most, "echo", trace, read).await?;
    Ok(Outcome::Passed(String::new()))
}

/// Eight bytes that nobody can guess, and more to fill it up.
fn data(size: u16, cookie: [u8; 8]) -> Vec<u8> {
    cookie.into_iter().chain((8..size).map(|i| i as u8)).collect()
}

struct Echo {
    v4: bool,
    data: Vec<u8>,
}

impl Echo {
    fn request(&self, [a, b]: [u8; 2]) -> Vec<u8> {
        let kind = if self.v4 { 8 } else { 128 };
        // The kernel puts its own identifier in unless the socket is raw, and the checksum for IPv6.
        let mut packet = [&[kind, 0, 0, 0, a, b, 0, 1], self.data.as_slice()].concat();
        if self.v4 {
            let sum = checksum(&[&packet]);
            packet[2..4].copy_from_slice(&sum);
        }
        packet
    }

    /// An error says why this is not the reply. Only the data is compared: it is random, and the rest is the kernel's.
    fn read(&self, packet: &[u8]) -> Result<(), String> {
        let reply = if self.v4 { 0 } else { 129 };
        match packet.split_at_checked(HEADER) {
            Some((header, data)) if header[..2] == [reply, 0] && data == self.data => Ok(()),
            Some((header, data)) if header[..2] == [reply, 0] => {
                Err(format!("an echo of {} bytes that are not those that were sent", data.len()))
            }
            Some((header, _)) => {
                Err(format!("ICMP type {} code {} instead of an echo", header[0], header[1]))
            }
            None => Err(format!("{} bytes are too few for ICMP", packet.len())),
        }
    }
}

/// Its length in words is the low half of its first byte (RFC 791 §3.1).
fn without_ip_header(packet: &[u8]) -> &[u8] {
    let length = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    packet.get(length..).unwrap_or_default()
}

/// What is made of a packet, with an IP header or without.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) -> String {
    let echo = Echo { v4: bytes.len().is_multiple_of(2), data: data(8, [0; 8]) };
    let packet = if echo.v4 { without_ip_header(bytes) } else { bytes };
    echo.read(packet).map_or_else(|why| why, |()| String::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests() {
        let echo = Echo { v4: true, data: data(10, *b"abcdefgh") };
        let packet = echo.request([0, 1]);
        assert_eq!(packet.len(), 18);
        assert!(packet.starts_with(&[8, 0]) && packet.ends_with(b"\0\x01\0\x01abcdefgh\x08\x09"));
        assert_eq!(checksum(&[&packet]), [0, 0], "a sum over the sum is right");
        let echo = Echo { v4: false, ..echo };
        assert!(echo.request([0, 1]).starts_with(&[128, 0, 0, 0]));
    }

    #[test]
    fn replies() {
        let echo = Echo { v4: true, data: data(8, *b"abcdefgh") };
        assert_eq!(echo.read(b"\0\0\xff\xff\0\x07\0\x01abcdefgh"), Ok(()));
        assert!(echo.read(b"\0\0\xff\xff\0\x07\0\x01abcdefgX").is_err());
        assert!(echo.read(b"\x08\0\xff\xff\0\x07\0\x01abcdefgh").unwrap_err().contains("type 8"));
        assert!(echo.read(b"\0\0").is_err());
        assert_eq!(without_ip_header(b"\x4512345678901234567890"), b"0");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100), v4 in any::<bool>()) {
            let echo = Echo { v4, data: data(16, *b"abcdefgh") };
            prop_assert!(echo.read(without_ip_header(&bytes)).is_err());
        }
    }
}
