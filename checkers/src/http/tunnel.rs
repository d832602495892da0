//! A tunnel through a real server that is a proxy: CONNECT (RFC 9110 §9.3.6).

use super::MAX_HEADER;
use crate::stream::Stream;
use crate::trace::Trace;
use crate::{Outcome, Target, text};

/// Has the target connect to `to`, a host and a port; what is sent from then on is for that host.
pub(super) async fn open(target: &Target, to: &str, trace: &Trace) -> Result<Stream, Outcome> {
    ask(Stream::connect(target, trace).await?, to).await
}

pub(crate) async fn ask(mut stream: Stream, to: &str) -> Result<Stream, Outcome> {
    let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    stream.ask(request.as_bytes(), "answer to CONNECT").await?;
    loop {
        if let Some(end) = stream.received().windows(4).position(|it| it == b"\r\n\r\n") {
            accepted(&stream.take(end + 4))?;
            return Ok(stream);
        }
        stream.receive(MAX_HEADER).await?;
    }
}

fn accepted(header: &[u8]) -> Result<(), Outcome> {
    let line = header.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let status = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(1..3));
    match status {
        Some(b" 2") => Ok(()),
        _ => Err(Outcome::WrongAnswer(format!(
            "the answer to CONNECT is {} instead of 2xx",
            text::quote(line)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers() {
        assert_eq!(accepted(b"HTTP/1.1 200 Connection established\r\n\r\n"), Ok(()));
        let wrong = Outcome::WrongAnswer(
            "the answer to CONNECT is \"HTTP/1.0 502 Bad Gateway\" instead of 2xx".to_owned(),
        );
        assert_eq!(accepted(b"HTTP/1.0 502 Bad Gateway\r\n\r\n"), Err(wrong));
        assert!(accepted(b"SSH-2.0-x\r\n\r\n").is_err() && accepted(b"HTTP/1.").is_err());
    }

    proptest! {
        #[test]
        fn any_header_can_be_judged(header in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = accepted(&header);
        }
    }
}
