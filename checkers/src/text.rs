//! Text that came from a server, made fit for logs and terminals.

/// Characters that are kept of a server's text.
const LIMIT: usize = 120;

/// The beginning of `bytes` in quotes: at most 120 characters, with everything escaped that is not printable, so
/// that no answer can forge a log line or drive a terminal.
pub(crate) fn quote(bytes: &[u8]) -> String {
    // An escape is at least as long as the bytes it stands for, so more bytes could not change the result.
    let head = &bytes[..bytes.len().min(4 * LIMIT + 4)];
    let text = String::from_utf8_lossy(head);
    let mut out = String::from("\"");
    let mut left = LIMIT;
    for character in text.chars() {
        let escaped = character.escape_debug();
        let Some(rest) = left.checked_sub(escaped.len()) else {
            out.push('…');
            break;
        };
        left = rest;
        out.extend(escaped);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes() {
        assert_eq!(quote(b"ok"), r#""ok""#);
        assert_eq!(quote(b"a\r\nb\x1b[2J\0\"\xff"), r#""a\r\nb\u{1b}[2J\0\"�""#);
        assert_eq!(quote("\u{202e}\u{200b}".as_bytes()), r#""\u{202e}\u{200b}""#);
    }

    #[test]
    fn cuts() {
        assert_eq!(quote(&[b'a'; 120]), format!("\"{}\"", "a".repeat(120)));
        assert_eq!(quote(&[b'a'; 121]), format!("\"{}…\"", "a".repeat(120)));
        assert_eq!(quote("𝄞".repeat(200).as_bytes()), format!("\"{}…\"", "𝄞".repeat(120)));
    }

    proptest! {
        #[test]
        fn is_short_and_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let quoted = quote(&bytes);
            prop_assert!(quoted.chars().count() <= LIMIT + 3);
            prop_assert!(!quoted.chars().any(char::is_control));
        }
    }
}
