//! UDP checks: a datagram, and what comes in return.

mod pattern;

use crate::trace::Trace;
use crate::{Outcome, Target, datagram, text};

pub use pattern::UdpPattern;

/// A datagram and what its reply must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UdpSpec {
    /// What is sent; may be empty.
    pub payload: Vec<u8>,
    /// What the reply must be, as a whole.
    pub expected: Option<UdpPattern>,
    /// The shortest acceptable reply, in bytes.
    pub min_length: u16,
    /// The longest acceptable reply, in bytes.
    pub max_length: u16,
    /// Whether silence passes, so that only an error (ICMP) or a wrong reply fails.
    pub icmp_only: bool,
}

/// Asks and judges. Either result is the outcome; an error ended the exchange early.
pub(crate) async fn ask(target: &Target, spec: &UdpSpec, trace: &Trace) -> Result<Outcome, Outcome> {
    if spec.icmp_only {
        trace.let_silence_pass();
    }
    // One byte more tells that the reply is too long.
    let most = usize::from(spec.max_length) + 1;
    // Whatever comes is the reply: nothing in it could tell that it is not.
    let read = |bytes: &[u8]| Ok(judge(bytes, spec));
    let judged = datagram::ask(target, &spec.payload, most, "reply", trace, read).await?;
    Ok(match judged {
        Ok(text) => Outcome::Passed(text),
        Err(text) => Outcome::WrongAnswer(text),
    })
}

pub(crate) fn judge(reply: &[u8], spec: &UdpSpec) -> Result<String, String> {
    let (least, most, size) = (usize::from(spec.min_length), usize::from(spec.max_length), reply.len());
    if size > most {
        return Err(format!("more than {most} bytes: {}", text::quote(&reply[..most])));
    }
    if size < least {
        return Err(format!("{size} bytes instead of at least {least}: {}", text::quote(reply)));
    }
    match &spec.expected {
        Some(pattern) if !pattern.matches(reply) => {
            Err(format!("{size} bytes that are not {pattern}: {}", text::quote(reply)))
        }
        _ => Ok(format!("{size} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spec(pattern: &str) -> UdpSpec {
        UdpSpec {
            payload: Vec::new(),
            expected: Some(UdpPattern::hex(pattern).unwrap()),
            min_length: 2,
            max_length: 4,
            icmp_only: false,
        }
    }

    #[test]
    fn lengths() {
        assert_eq!(judge(b"abcd", &spec("*")), Ok("4 bytes".to_owned()));
        assert_eq!(judge(b"a", &spec("*")), Err("1 bytes instead of at least 2: \"a\"".to_owned()));
        assert_eq!(judge(b"abcde", &spec("*")), Err("more than 4 bytes: \"abcd\"".to_owned()));
        assert_eq!(judge(b"ab\n", &spec("6162")), Err("3 bytes that are not 61 62: \"ab\\n\"".to_owned()));
    }

    proptest! {
        #[test]
        fn whatever_comes(bytes in proptest::collection::vec(any::<u8>(), 0..6)) {
            let text = judge(&bytes, &spec("4? * ?1")).unwrap_or_else(|why| why);
            prop_assert!(text.chars().count() < 200 && !text.contains(char::is_control));
        }
    }
}
