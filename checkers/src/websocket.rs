//! WebSocket (RFC 6455): an opening handshake that is right, and a closing one.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use httparse::{EMPTY_HEADER, Header, Status};
use sha1::{Digest, Sha1};

use crate::stream::{Stream, Tls};
use crate::trace::Trace;
use crate::{Outcome, Target, TlsSpec, http as web, text};

/// A handshake and what its answer must say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebsocketSpec {
    /// TLS around the connection: `wss`.
    pub tls: Option<TlsSpec>,
    /// The request target in origin form: `/live?x=1`.
    pub path: String,
    /// The Host header; none: the target's address.
    pub host: Option<String>,
    /// Further request headers, in order. Validated names and values.
    pub headers: Vec<(String, String)>,
    /// The one subprotocol that is offered, and that the server must choose.
    pub subprotocol: Option<String>,
}

/// The most headers that an answer may have.
const HEADERS: usize = 100;
/// Provisional answers before the final one.
const PROVISIONAL: usize = 8;
/// The most that is passed over of what a server sends before it closes, in bytes.
const MOST: usize = 64 << 10;

/// Whether a check can send this header: one of an HTTP request, and none that the handshake consists of.
pub fn is_websocket_header(name: &str, value: &str) -> bool {
    crate::is_header(name, value) && !name.to_ascii_lowercase().starts_with("sec-websocket-")
}

/// Whether `text` can be the [`WebsocketSpec::subprotocol`]: a token (RFC 9110 §5.6.2).
pub fn is_subprotocol(text: &str) -> bool {
    http::Method::from_bytes(text.as_bytes()).is_ok()
}

/// Opens and closes. Either result is the outcome; an error ended the exchange early.
pub(crate) async fn ask(
    target: &Target,
    spec: &WebsocketSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    talk(Stream::open(target, tls, trace).await?, target, spec, rand::random()).await
}

/// What is said over a connection that stands; `random` is what the key is made of.
pub(crate) async fn talk(
    mut stream: Stream,
    target: &Target,
    spec: &WebsocketSpec,
    random: [u8; 16],
) -> Result<Outcome, Outcome> {
    let key = BASE64_STANDARD.encode(random);
    stream.ask(request(target, spec, &key).as_bytes(), "answer to the handshake").await?;
    opened(&mut stream, &Expected { accept: accept(&key), subprotocol: spec.subprotocol.as_deref() }).await?;
    stream.ask(&close(rand::random()), "answer to the closing handshake").await?;
    closed(&mut stream).await?;
    Ok(Outcome::Passed("101 Switching Protocols".to_owned()))
}

/// RFC 6455 §4.1.
fn request(target: &Target, spec: &WebsocketSpec, key: &str) -> String {
    let host = spec.host.clone().unwrap_or_else(|| web::authority(target.address, spec.tls.is_some()));
    let mut request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n",
        spec.path
    );
    let subprotocol = spec.subprotocol.as_deref().map(|it| ("Sec-WebSocket-Protocol", it));
    let headers = spec.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in subprotocol.into_iter().chain(headers) {
        request += &format!("{name}: {value}\r\n");
    }
    request + "\r\n"
}

/// RFC 6455 §4.2.2.
fn accept(key: &str) -> String {
    let digest =
        Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    BASE64_STANDARD.encode(digest)
}

/// What the answer to the handshake must say.
struct Expected<'a> {
    accept: String,
    subprotocol: Option<&'a str>,
}

async fn opened(stream: &mut Stream, expected: &Expected<'_>) -> Result<(), Outcome> {
    for _ in 0..=PROVISIONAL {
        let (size, is_final) = loop {
            match expected.read(stream.received()).map_err(Outcome::WrongAnswer)? {
                Some(read) => break read,
                None => stream.receive(web::MAX_HEADER).await?,
            }
        };
        stream.take(size);
        if is_final {
            return Ok(());
        }
    }
    Err(Outcome::WrongAnswer("there are only provisional answers to the handshake".to_owned()))
}

impl Expected<'_> {
    /// The size of the header that `bytes` begin with, and whether it opens the connection or there is another to
    /// come. None while it is not complete; an error says what is wrong with it.
    fn read(&self, bytes: &[u8]) -> Result<Option<(usize, bool)>, String> {
        let mut headers = [EMPTY_HEADER; HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let size = match head.parse(bytes) {
            Ok(Status::Complete(size)) => size,
            Ok(Status::Partial) => return Ok(None),
            Err(error) => {
                return Err(format!(
                    "the answer is not HTTP/1: {error}; it begins with {}",
                    text::quote(bytes)
                ));
            }
        };
        match head.code.and_then(|code| StatusCode::from_u16(code).ok()) {
            Some(StatusCode::SWITCHING_PROTOCOLS) => self.judge(head.headers).map(|()| Some((size, true))),
            Some(status) if status.is_informational() => Ok(Some((size, false))),
            Some(status) => Err(format!("{} instead of 101 Switching Protocols", web::describe(status))),
            None => Err("the answer has no status".to_owned()),
        }
    }

    /// RFC 6455 §4.1, what a client must look at.
    fn judge(&self, headers: &[Header<'_>]) -> Result<(), String> {
        let values = |name: &'static str| {
            headers.iter().filter(move |it| it.name.eq_ignore_ascii_case(name)).map(|it| it.value)
        };
        let lists = |name: &'static str, word: &str| {
            let mut words = values(name).flat_map(|value| value.split(|byte| *byte == b','));
            words.any(|it| it.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        let shown = |name: &'static str| values(name).next().map_or_else(|| "none".to_owned(), text::quote);
        let wrong = |name: &'static str, wanted: &str| {
            Err(format!("101 Switching Protocols, but {name} is {} instead of {wanted}", shown(name)))
        };
        if !lists("Upgrade", "websocket") {
            return wrong("Upgrade", "\"websocket\"");
        }
        if !lists("Connection", "upgrade") {
            return wrong("Connection", "\"upgrade\"");
        }
        if !values("Sec-WebSocket-Accept").eq([self.accept.as_bytes()]) {
            return wrong("Sec-WebSocket-Accept", &format!("\"{}\"", self.accept));
        }
        if values("Sec-WebSocket-Extensions").next().is_some() {
            return wrong("Sec-WebSocket-Extensions", "none");
        }
        if !values("Sec-WebSocket-Protocol").eq(self.subprotocol.map(str::as_bytes)) {
            let wanted = self.subprotocol.map_or_else(|| "none".to_owned(), |it| format!("\"{it}\""));
            return wrong("Sec-WebSocket-Protocol", &wanted);
        }
        Ok(())
    }
}

/// A close frame (RFC 6455 §5.5.1) that says that all is well.
fn close(mask: [u8; 4]) -> [u8; 8] {
    const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();
    let [a, b, c, d] = mask;
    [0x88, 0x82, a, b, c, d, NORMAL[0] ^ a, NORMAL[1] ^ b]
}

/// Waits until the server closes too, in whatever way, or has said more than a check listens to.
async fn closed(stream: &mut Stream) -> Result<(), Outcome> {
    while !has_close(stream.received()) && stream.received().len() < MOST {
        match stream.receive(MOST).await {
            Err(Outcome::Reset(_)) => break,
            other => other?,
        }
    }
    Ok(())
}

/// Whether there is a close frame among these frames (RFC 6455 §5.2). What a server sends is not masked.
fn has_close(mut frames: &[u8]) -> bool {
    while let [first, second, rest @ ..] = frames {
        if first & 0x0f == 8 {
            return true;
        }
        let long = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((length, rest)) = rest.split_at_checked(long) else { return false };
        let length = match long {
            0 => u64::from(second & 0x7f),
            _ => length.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        let Some(next) = usize::try_from(length).ok().and_then(|length| rest.get(length..)) else {
            return false;
        };
        frames = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RIGHT: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

    fn expected() -> Expected<'static> {
        // The key of RFC 6455 §1.3.
        Expected { accept: accept("dGhlIHNhbXBsZSBub25jZQ=="), subprotocol: Some("chat") }
    }

    #[test]
    fn requests() {
        let address = "192.0.2.1:80".parse().unwrap();
        let spec = WebsocketSpec {
            tls: None,
            path: "/live".to_owned(),
            host: None,
            headers: vec![("Origin".to_owned(), "https://example.com".to_owned())],
            subprotocol: Some("chat".to_owned()),
        };
        assert_eq!(
            request(&Target { address, bind: None, fwmark: None }, &spec, "KEY"),
            "GET /live HTTP/1.1\r\nHost: 192.0.2.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: KEY\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\
             Origin: https://example.com\r\n\r\n"
        );
        assert!(is_websocket_header("Origin", "x") && !is_websocket_header("SEC-WebSocket-Key", "x"));
        assert!(is_subprotocol("v1.chat") && !is_subprotocol("a b") && !is_subprotocol("a\r\n"));
    }

    #[test]
    fn answers() {
        assert_eq!(expected().read(RIGHT.as_bytes()), Ok(Some((RIGHT.len(), true))));
        for end in 0..RIGHT.len() {
            assert_eq!(expected().read(&RIGHT.as_bytes()[..end]), Ok(None), "{end}");
        }
        let early = "HTTP/1.1 103 Early Hints\r\n\r\n";
        assert_eq!(expected().read(early.as_bytes()), Ok(Some((early.len(), false))));
        for (part, other, why) in [
            ("101 Switching Protocols", "404 No", "404 Not Found instead of 101 Switching Protocols"),
            (
                "HTTP/1.1 1",
                "SSH-2.0 1",
                "the answer is not HTTP/1: invalid HTTP version; it begins with \"SSH-2.0 101 ",
            ),
            ("WebSocket", "h2c", "101 Switching Protocols, but Upgrade is \"h2c\" instead of \"websocket\""),
            (
                ", Upgrade",
                "",
                "101 Switching Protocols, but Connection is \"keep-alive\" instead of \"upgrade\"",
            ),
            ("s3pP", "S3pP", "101 Switching Protocols, but Sec-WebSocket-Accept is \"S3pPLMBi"),
            (
                "chat",
                "mqtt",
                "101 Switching Protocols, but Sec-WebSocket-Protocol is \"mqtt\" instead of \"chat\"",
            ),
            (
                "Protocol: chat",
                "Extensions: x",
                "101 Switching Protocols, but Sec-WebSocket-Extensions is \"x\" instead",
            ),
        ] {
            let text = expected().read(RIGHT.replacen(part, other, 1).as_bytes()).unwrap_err();
            assert!(text.starts_with(why), "{text}");
        }
        let unasked = Expected { subprotocol: None, ..expected() }.read(RIGHT.as_bytes()).unwrap_err();
        assert!(unasked.ends_with("Sec-WebSocket-Protocol is \"chat\" instead of none"), "{unasked}");
    }

    #[test]
    fn frames() {
        assert_eq!(close([0, 0, 0, 0]), *b"\x88\x82\0\0\0\0\x03\xe8");
        let text = [&[0x81, 126, 1, 0][..], &[b'x'; 256], &[0x89, 0]].concat();
        assert!(!has_close(&text) && has_close(&[&text[..], &[0x88, 0]].concat()));
        let endless = [&[0x82, 127][..], &[0xff; 8], &[0x88, 0]].concat();
        assert!(!has_close(&endless) && !has_close(&endless[..5]) && !has_close(b"\x81"));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..RIGHT.len(), byte in any::<u8>(),
        ) {
            let mut changed = RIGHT.as_bytes().to_vec();
            changed[at] = byte;
            for bytes in [bytes, changed] {
                let _ = has_close(&bytes);
                if let Ok(Some((size, _))) = expected().read(&bytes) {
                    prop_assert!(size <= bytes.len());
                }
            }
        }
    }
}
