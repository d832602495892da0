//! What the body must be.

use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use sha2::{Digest, Sha256};

use crate::trace::{Step, Trace};
use crate::{Body, Outcome, text};

/// Reads as much of the body as it takes and judges it. The inner error says what it is instead of what; the outer
/// one that it could not be read.
pub(super) async fn judge(
    mut body: Incoming,
    expected: &Body,
    max: usize,
    trace: &Trace,
    failed: impl Fn(hyper::Error) -> Outcome,
) -> Result<Result<(), String>, Outcome> {
    let too_large = || Err(format!("the body is larger than max_body, {max} bytes"));
    let wants_all = matches!(expected, Body::Sha256(_));
    if wants_all && body.size_hint().lower() > max as u64 {
        return Ok(too_large());
    }
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(&failed)?.into_data() else {
            continue; // trailers
        };
        trace.received(Step::Body, &data);
        let room = max - read.len();
        read.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room && wants_all {
            return Ok(too_large());
        }
        if read.len() == max && !wants_all {
            break;
        }
    }
    Ok(compare(&read, expected))
}

fn compare(read: &[u8], expected: &Body) -> Result<(), String> {
    match expected {
        Body::Matches(regex) if regex.is_match(&String::from_utf8_lossy(read)) => Ok(()),
        Body::Matches(regex) => Err(format!(
            "{} does not match in the first {} bytes of the body: {}",
            text::quote(regex.as_str().as_bytes()),
            read.len(),
            text::quote(read)
        )),
        Body::Sha256(digest) => {
            let found = Sha256::digest(read);
            if found[..] == digest[..] {
                return Ok(());
            }
            Err(format!(
                "the SHA-256 digest of the body ({} bytes) is {} instead of {}",
                read.len(),
                hex(&found),
                hex(digest)
            ))
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[test]
    fn expression() {
        let expected = Body::Matches(Regex::new("^o.$").unwrap());
        assert_eq!(compare(b"ok", &expected), Ok(()));
        assert_eq!(compare(b"o\xff", &expected), Ok(()));
        assert_eq!(
            compare(b"no\n", &expected),
            Err(r#""^o.$" does not match in the first 3 bytes of the body: "no\n""#.to_owned())
        );
    }

    #[test]
    fn digest() {
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let bytes: Vec<u8> =
            (0..32).map(|i| u8::from_str_radix(&of_abc[2 * i..2 * i + 2], 16).unwrap()).collect();
        let expected = Body::Sha256(bytes.try_into().unwrap());
        assert_eq!(compare(b"abc", &expected), Ok(()));
        let error = compare(b"abd", &expected).unwrap_err();
        assert!(error.contains("(3 bytes)") && error.ends_with(of_abc), "{error}");
    }
}
