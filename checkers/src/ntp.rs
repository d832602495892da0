//! NTP checks: one packet of a client (RFC 5905 §7.3) and what a server says of its clock.
//!
//! The transmit timestamp of the request is random: it tells nobody our clock, and a reply that repeats it as its
//! origin timestamp is a reply to this request.

use std::time::Duration;

use crate::trace::Trace;
use crate::{Outcome, Target, clock, datagram, text};

/// The header, without extension fields and authentication.
const HEADER: usize = 48;
/// What is read of a reply.
const MAX_REPLY: usize = 1024;
/// From 1900 to 1970, in seconds.
const EPOCH: u64 = 2_208_988_800;

/// What a time server must say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NtpSpec {
    /// The most that its stratum may be, 1 to 15.
    pub max_stratum: u8,
    /// The most by which its clock may differ from ours.
    pub max_offset: Option<Duration>,
}

/// Asks and judges. Either result is the outcome; an error ended the exchange early.
pub(crate) async fn ask(target: &Target, spec: &NtpSpec, trace: &Trace) -> Result<Outcome, Outcome> {
    let cookie = rand::random();
    let sent = timestamp(clock::wall());
    let read = |bytes: &[u8]| Reply::parse(bytes, cookie).map(|reply| (reply, timestamp(clock::wall())));
    let (reply, received) = datagram::ask(target, &request(cookie), MAX_REPLY, "reply", trace, read).await?;
    Ok(match reply.judge(spec, sent, received) {
        Ok(text) => Outcome::Passed(text),
        Err(text) => Outcome::WrongAnswer(text),
    })
}

/// No leap warning, version 4, mode 3; all else is zero but the transmit timestamp.
fn request(cookie: [u8; 8]) -> [u8; HEADER] {
    let mut packet = [0; HEADER];
    packet[0] = 4 << 3 | 3;
    packet[40..].copy_from_slice(&cookie);
    packet
}

/// What of a reply matters.
#[derive(Debug)]
struct Reply {
    leap: u8,
    stratum: u8,
    reference: [u8; 4],
    /// When the server had the request and sent the reply, in seconds since 1900 times 2^32, without the era.
    receive: u64,
    transmit: u64,
}

impl Reply {
    /// An error says why this is no reply to the request with that transmit timestamp.
    fn parse(bytes: &[u8], cookie: [u8; 8]) -> Result<Self, String> {
        let Some(header) = bytes.first_chunk::<HEADER>() else {
            return Err(format!("{} bytes are too few for an NTP packet", bytes.len()));
        };
        let field = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        let (version, mode) = (header[0] >> 3 & 7, header[0] & 7);
        if mode != 4 || !(1..=4).contains(&version) {
            return Err(format!("a packet of mode {mode} in version {version} instead of a server's reply"));
        }
        if header[24..32] != cookie {
            return Err("a reply to another request: its origin timestamp is not ours".to_owned());
        }
        Ok(Self {
            leap: header[0] >> 6,
            stratum: header[1],
            reference: std::array::from_fn(|i| header[12 + i]),
            receive: field(32),
            transmit: field(40),
        })
    }

    /// What the server says; an error says what it says instead of what.
    fn judge(&self, spec: &NtpSpec, sent: u64, received: u64) -> Result<String, String> {
        let stratum = self.stratum;
        if stratum == 0 && self.reference.iter().all(u8::is_ascii_uppercase) {
            // RFC 5905 §7.4.
            return Err(format!("the server wants to be left alone: {}", text::quote(&self.reference)));
        }
        if self.leap == 3 || !(1..=15).contains(&stratum) {
            return Err(format!(
                "the server's clock is not synchronised (leap {}, stratum {stratum})",
                self.leap
            ));
        }
        if stratum > spec.max_stratum {
            return Err(format!("stratum {stratum} instead of at most {}", spec.max_stratum));
        }
        let Some(most) = spec.max_offset else { return Ok(format!("stratum {stratum}")) };
        let offset = self.offset(sent, received);
        let said = format!(
            "stratum {stratum}, {:.3} s {}",
            offset.abs(),
            if offset < 0.0 { "behind" } else { "ahead" }
        );
        if offset.abs() <= most.as_secs_f64() {
            Ok(said)
        } else {
            Err(format!("{said} instead of at most {most:?}"))
        }
    }

    /// How far the server's clock is ahead of ours, in seconds (RFC 5905 §8).
    fn offset(&self, sent: u64, received: u64) -> f64 {
        // Differences are right in every era, as long as the clocks are within 68 years of each other.
        let ahead = |theirs: u64, ours: u64| theirs.wrapping_sub(ours) as i64 as f64 / 2_f64.powi(32);
        f64::midpoint(ahead(self.receive, sent), ahead(self.transmit, received))
    }
}

/// As NTP has it: seconds since 1900 times 2^32, without the era.
fn timestamp(since_1970: Duration) -> u64 {
    let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
    (since_1970.as_secs().wrapping_add(EPOCH) << 32) | fraction
}

/// What is made of a packet, as if it were a reply to this request or not.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) -> String {
    let cookie = bytes.get(24..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    let spec = NtpSpec { max_stratum: 3, max_offset: Some(Duration::from_secs(1)) };
    let reply = Reply::parse(bytes, cookie).and_then(|reply| reply.judge(&spec, 0, 1));
    reply.unwrap_or_else(|why| why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COOKIE: [u8; 8] = *b"\x01\x02\x03\x04\x05\x06\x07\x08";
    const SPEC: NtpSpec = NtpSpec { max_stratum: 3, max_offset: Some(Duration::from_millis(100)) };

    /// A reply to the request with [`COOKIE`] from a clock that is `ahead` of 1970 by that.
    fn reply(first: u8, stratum: u8, reference: [u8; 4], ahead: Duration) -> [u8; HEADER] {
        let mut packet = [0; HEADER];
        packet[..2].copy_from_slice(&[first, stratum]);
        packet[12..16].copy_from_slice(&reference);
        packet[24..32].copy_from_slice(&COOKIE);
        packet[32..40].copy_from_slice(&timestamp(ahead).to_be_bytes());
        packet[40..].copy_from_slice(&timestamp(ahead).to_be_bytes());
        packet
    }

    fn judge(packet: &[u8]) -> Result<String, String> {
        let at = |ms| timestamp(Duration::from_millis(ms));
        Reply::parse(packet, COOKIE)?.judge(&SPEC, at(1000), at(1020))
    }

    const SERVER: u8 = 4 << 3 | 4;

    #[test]
    fn clocks() {
        let ms = Duration::from_millis;
        let good = reply(SERVER, 2, [0; 4], ms(1050));
        assert_eq!(judge(&good), Ok("stratum 2, 0.040 s ahead".to_owned()));
        let slow = reply(SERVER, 2, [0; 4], ms(800));
        assert_eq!(judge(&slow), Err("stratum 2, 0.210 s behind instead of at most 100ms".to_owned()));
        let deep = reply(SERVER, 4, [0; 4], ms(1010));
        assert_eq!(judge(&deep), Err("stratum 4 instead of at most 3".to_owned()));
        for (first, stratum) in [(3 << 6 | SERVER, 2), (SERVER, 16), (3 << 6 | SERVER, 0)] {
            let text = judge(&reply(first, stratum, [0; 4], ms(1010))).unwrap_err();
            assert!(text.starts_with("the server's clock is not synchronised"), "{text}");
        }
        let kiss = reply(3 << 6 | SERVER, 0, *b"RATE", ms(1010));
        assert_eq!(judge(&kiss), Err("the server wants to be left alone: \"RATE\"".to_owned()));
    }

    #[test]
    fn replies_to_others() {
        let mut other = reply(SERVER, 2, [0; 4], Duration::ZERO);
        other[31] ^= 1;
        assert!(judge(&other).unwrap_err().contains("origin timestamp"));
        assert!(judge(&request(COOKIE)).unwrap_err().contains("mode 3"));
        assert!(judge(&other[..47]).unwrap_err().contains("47 bytes are too few"));
    }

    /// NTP's seconds begin anew in 2036.
    #[test]
    fn the_next_era() {
        let rollover = Duration::from_secs((1 << 32) - EPOCH);
        let reply = Reply { leap: 0, stratum: 1, reference: [0; 4], receive: 0, transmit: 0 };
        let before = timestamp(rollover - Duration::from_secs(1));
        assert!((reply.offset(before, before) - 1.0).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn arbitrary_replies(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), ours in any::<bool>()) {
            if ours && bytes.len() >= HEADER {
                bytes[0] = bytes[0] & 0xc0 | SERVER;
                bytes[24..32].copy_from_slice(&COOKIE);
            }
            let text = judge(&bytes).unwrap_or_else(|why| why);
            prop_assert!(text.chars().count() < 200 && !text.contains(char::is_control), "{text}");
        }
    }
}
