//! SIP (RFC 3261): an OPTIONS request that is answered as it should be.

use std::str;

use crate::stream::{Stream, Tls};
use crate::trace::Trace;
use crate::{Outcome, StatusRange, Target, TlsSpec, datagram, text};

/// A SIP request and what its answer must look like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SipSpec {
    /// How to get there.
    pub transport: SipTransport,
    /// The request's URI, which the To header has as well; none: `sip:` and the target's address.
    pub uri: Option<String>,
    /// Acceptable statuses; never empty.
    pub status: Vec<StatusRange>,
}

/// What SIP goes over.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SipTransport {
    /// UDP, one datagram each way.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls(TlsSpec),
}

impl SipSpec {
    pub(crate) fn tls(&self) -> Option<&TlsSpec> {
        if let SipTransport::Tls(tls) = &self.transport { Some(tls) } else { None }
    }
}

/// The most that an answer may have, in bytes.
const MOST: usize = 16 << 10;
/// Answers that are provisional, or to somebody else, before the final one.
const ANSWERS: usize = 16;
const WHAT: &str = "answer to OPTIONS";

/// Whether `text` can be the [`SipSpec::uri`].
pub fn is_sip_uri(text: &str) -> bool {
    (text.starts_with("sip:") || text.starts_with("sips:"))
        && text.len() <= 255
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'))
}

/// Sends the request and judges the answer. Either result is the outcome; an error ended the exchange early.
pub(crate) async fn ask(
    target: &Target,
    spec: &SipSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    let call = format!("{:032x}", rand::random::<u128>());
    let request = request(target, spec, &call);
    if spec.transport == SipTransport::Udp {
        let read = |datagram: &[u8]| match Answer::read(datagram, &call)? {
            Some((answer, _)) if answer.status >= 200 => Ok(answer),
            Some(_) => Err("there is only a provisional answer to OPTIONS".to_owned()),
            None => Err(format!("the {WHAT} is cut off: {}", text::quote(datagram))),
        };
        let answer = datagram::ask(target, request.as_bytes(), MOST, WHAT, trace, read).await?;
        return judge(&answer, &spec.status);
    }
    talk(Stream::open(target, tls, trace).await?, spec, &request, &call).await
}

/// What is said over a connection that stands.
pub(crate) async fn talk(
    mut stream: Stream,
    spec: &SipSpec,
    request: &str,
    call: &str,
) -> Result<Outcome, Outcome> {
    stream.ask(request.as_bytes(), WHAT).await?;
    for _ in 0..ANSWERS {
        let (answer, size) = loop {
            match Answer::read(stream.received(), call).map_err(Outcome::WrongAnswer)? {
                Some(read) => break read,
                None => stream.receive(MOST).await?,
            }
        };
        if answer.status >= 200 {
            return judge(&answer, &spec.status);
        }
        stream.exactly(size).await?;
    }
    Err(Outcome::WrongAnswer(format!("{ANSWERS} provisional answers and no final one")))
}

/// RFC 3261 §8.1.1 and §11. What is asked to be sent to is only a name: answers come back the way that the request
/// went (RFC 3581).
fn request(target: &Target, spec: &SipSpec, call: &str) -> String {
    let (via, parameter) = match spec.transport {
        SipTransport::Udp => ("UDP", ""),
        SipTransport::Tcp => ("TCP", ";transport=tcp"),
        SipTransport::Tls(_) => ("TLS", ";transport=tls"),
    };
    let uri = spec.uri.clone().unwrap_or_else(|| format!("sip:{}", target.address));
    format!(
        "OPTIONS {uri} SIP/2.0\r\n\
         Via: SIP/2.0/{via} tidegate.invalid;branch=z9hG4bK{call};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:check@tidegate.invalid>;tag={}\r\n\
         To: <{uri}>\r\n\
         Call-ID: {call}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Contact: <sip:check@tidegate.invalid{parameter}>\r\n\
         Accept: application/sdp\r\n\
         Content-Length: 0\r\n\r\n",
        &call[..8],
    )
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// `200 OK`, as the server puts it.
    line: String,
}

impl Answer {
    /// The answer to the request of this call, and how many bytes it has; none while its header is not complete. An
    /// error says why it is no answer.
    fn read(bytes: &[u8], call: &str) -> Result<Option<(Self, usize)>, String> {
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let is_sip = first.starts_with(&b"SIP/2.0 "[..first.len().min(8)]);
        let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else {
            let so_far =
                if is_sip { Ok(None) } else { Err(format!("the {WHAT} is not SIP: {}", text::quote(bytes))) };
            return so_far;
        };
        let wrong = |why: &str| format!("the {WHAT} {why}: {}", text::quote(bytes));
        let header = str::from_utf8(&bytes[..end]).map_err(|_| wrong("is not UTF-8"))?;
        let mut lines = header.split("\r\n");
        let line = lines.next().and_then(|line| line.strip_prefix("SIP/2.0 "));
        let line = line.ok_or_else(|| wrong("is not SIP"))?;
        let status =
            line.get(..3).and_then(|digits| digits.parse().ok()).filter(|it| (100..700).contains(it));
        let status = status.ok_or_else(|| wrong("has no status"))?;
        let (mut mine, mut options, mut body) = (false, false, 0);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "call-id" | "i" => mine = value == call,
                "cseq" => options = value.split_whitespace().eq(["1", "OPTIONS"]),
                "content-length" | "l" => body = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        if !mine || !options {
            return Err(wrong("belongs to another request"));
        }
        let line = line.to_owned();
        Ok(Some((Self { status, line }, (end + 4).saturating_add(body).min(MOST))))
    }
}

fn judge(answer: &Answer, wanted: &[StatusRange]) -> Result<Outcome, Outcome> {
    if wanted.iter().any(|range| range.contains(answer.status)) {
        return Ok(Outcome::Passed(answer.status.to_string()));
    }
    let wanted = wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(Outcome::WrongAnswer(format!("{} instead of {wanted}", text::quote(answer.line.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RIGHT: &str = "SIP/2.0 200 OK\r\nVia: x\r\nCall-ID: abc\r\nCSeq: 1 OPTIONS\r\nl: 2\r\n\r\nhi";

    #[test]
    fn uris() {
        assert!(is_sip_uri("sip:ping@example.com") && is_sip_uri("sips:192.0.2.1:5061;transport=tls"));
        for bad in ["", "example.com", "sip:a b", "sip:a\r\nX: y", "sip:a>"] {
            assert!(!is_sip_uri(bad), "{bad}");
        }
    }

    #[test]
    fn answers() {
        let (answer, size) = Answer::read(RIGHT.as_bytes(), "abc").unwrap().unwrap();
        assert_eq!((answer.status, answer.line.as_str(), size), (200, "200 OK", RIGHT.len()));
        for end in 0..RIGHT.len() - 2 {
            assert_eq!(Answer::read(&RIGHT.as_bytes()[..end], "abc"), Ok(None), "{end}");
        }
        for (wrong, why) in [
            (RIGHT.replace("abc", "def"), "belongs to another request"),
            (RIGHT.replace("1 OPTIONS", "2 INVITE"), "belongs to another request"),
            (RIGHT.replace("200 OK", "OK"), "has no status"),
            ("HTTP/1.1 200 OK\r\n".to_owned(), "is not SIP"),
        ] {
            let error = Answer::read(wrong.as_bytes(), "abc").unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..RIGHT.len(), byte in any::<u8>(),
        ) {
            let _ = Answer::read(&bytes, "abc");
            let mut changed = RIGHT.as_bytes().to_vec();
            changed[at] = byte;
            if let Ok(Some((_, size))) = Answer::read(&changed, "abc") {
                prop_assert!(size <= MOST);
            }
        }
    }
}
