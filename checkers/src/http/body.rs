//! What the body must be.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use regex::Regex;
use sha2::{Digest, Sha256};

use crate::trace::{Step, Trace};
use crate::{Body, Outcome, text};

/// Reads as much of the body as it takes and judges it. The inner error says what it is instead of what; the outer
/// one that it could not be read.
pub(super) async fn judge(
    body: Incoming,
    expected: &Body,
    max: usize,
    trace: &Trace,
    failed: impl Fn(hyper::Error) -> Outcome,
) -> Result<Result<(), String>, Outcome> {
    let mut body = Reader { body, trace, failed };
    match expected {
        Body::Matches(regex) => {
            let mut read = Vec::new();
            while read.len() < max
                && let Some(data) = body.next().await?
            {
                read.extend_from_slice(&data[..data.len().min(max - read.len())]);
            }
            Ok(matches(regex, &read))
        }
        Body::Sha256(digest) => {
            let mut hash = Sha256::new();
            let mut size = 0;
            // Before anything is read, the size may be known from the header.
            while size + body.left() <= max as u64 {
                match body.next().await? {
                    Some(data) => {
                        size += data.len() as u64;
                        hash.update(&data);
                    }
                    None => return Ok(equals(digest, &hash.finalize(), size)),
                }
            }
            Ok(Err(format!("the body is larger than max_body, {max} bytes")))
        }
    }
}

struct Reader<'a, F> {
    body: Incoming,
    trace: &'a Trace,
    failed: F,
}

impl<F: Fn(hyper::Error) -> Outcome> Reader<'_, F> {
    /// The next piece; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Outcome> {
        while let Some(frame) = self.body.frame().await {
            // The others are trailers.
            if let Ok(data) = frame.map_err(&self.failed)?.into_data() {
                self.trace.received(Step::Body, &data);
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The least that is still to come.
    fn left(&self) -> u64 {
        self.body.size_hint().lower()
    }
}

fn matches(regex: &Regex, read: &[u8]) -> Result<(), String> {
    if regex.is_match(&String::from_utf8_lossy(read)) {
        return Ok(());
    }
    let (expected, size) = (text::quote(regex.as_str().as_bytes()), read.len());
    Err(format!("{expected} does not match in the first {size} bytes of the body: {}", text::quote(read)))
}

fn equals(expected: &[u8], found: &[u8], size: u64) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let (expected, found) = (hex(expected), hex(found));
    Err(format!("the SHA-256 digest of the body ({size} bytes) is {found} instead of {expected}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expression() {
        let regex = Regex::new("^o.$").unwrap();
        assert_eq!(matches(&regex, b"ok"), Ok(()));
        assert_eq!(matches(&regex, b"o\xff"), Ok(()));
        assert_eq!(
            matches(&regex, b"no\n"),
            Err(r#""^o.$" does not match in the first 3 bytes of the body: "no\n""#.to_owned())
        );
    }

    #[test]
    fn digest() {
        assert_eq!(equals(&[1, 0xab], &[1, 0xab], 7), Ok(()));
        assert_eq!(
            equals(&[1, 0xab], &[0xff, 0], 7),
            Err("the SHA-256 digest of the body (7 bytes) is ff00 instead of 01ab".to_owned())
        );
    }
}
