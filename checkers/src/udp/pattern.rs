//! What a reply must be, with wildcards.

use std::fmt;

/// The most parts of a pattern; with the longest reply this bounds the time that matching takes.
const MAX_PARTS: usize = 1024;

/// Bytes, of which some may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UdpPattern(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    /// A byte, of which these bits count.
    Byte { value: u8, mask: u8 },
    /// Any number of bytes.
    Any,
}

impl UdpPattern {
    /// Text in which `?` stands for any byte and `*` for any number of bytes.
    pub fn text(text: &str) -> Result<Self, String> {
        let part = |byte: u8| match byte {
            b'?' => Part::Byte { value: 0, mask: 0 },
            b'*' => Part::Any,
            value => Part::Byte { value, mask: 0xff },
        };
        Self::new(text.bytes().map(part).collect())
    }

    /// Pairs of hexadecimal digits, in which `?` stands for any digit and `*` for any number of bytes; spaces between
    /// them do not count.
    pub fn hex(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut characters = text.chars().filter(|it| !it.is_ascii_whitespace());
        while let Some(first) = characters.next() {
            if first == '*' {
                parts.push(Part::Any);
                continue;
            }
            let second = characters.next().ok_or_else(|| format!("a digit after {first:?} is missing"))?;
            let ((high, high_mask), (low, low_mask)) = (digit(first)?, digit(second)?);
            parts.push(Part::Byte { value: high << 4 | low, mask: high_mask << 4 | low_mask });
        }
        Self::new(parts)
    }

    fn new(parts: Vec<Part>) -> Result<Self, String> {
        if parts.len() > MAX_PARTS {
            return Err(format!("it has {} parts, and {MAX_PARTS} are the most", parts.len()));
        }
        Ok(Self(parts))
    }

    /// The bytes, where all of them are certain.
    pub fn literal(&self) -> Option<Vec<u8>> {
        let byte = |part: &Part| match *part {
            Part::Byte { value, mask: 0xff } => Some(value),
            _ => None,
        };
        self.0.iter().map(byte).collect()
    }

    /// Whether the pattern is all of `bytes`. Where the rest does not fit, the last `*` takes one byte more; no
    /// earlier one needs to be tried again.
    pub(crate) fn matches(&self, bytes: &[u8]) -> bool {
        let (mut part, mut at) = (0, 0);
        let mut star = None;
        while at < bytes.len() {
            match (self.0.get(part), star) {
                (Some(Part::Any), _) => {
                    star = Some((part + 1, at));
                    part += 1;
                }
                (Some(Part::Byte { value, mask }), _) if (bytes[at] ^ value) & mask == 0 => {
                    part += 1;
                    at += 1;
                }
                (_, Some((after, taken))) => {
                    star = Some((after, taken + 1));
                    part = after;
                    at = taken + 1;
                }
                (_, None) => return false,
            }
        }
        self.0[part..].iter().all(|part| *part == Part::Any)
    }
}

/// As [`UdpPattern::hex`] reads it.
impl fmt::Display for UdpPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |value: u8, mask: u8| match mask {
            0 => '?',
            _ => char::from_digit(u32::from(value), 16).unwrap_or('?'),
        };
        let part = |part: &Part| match *part {
            Part::Any => "*".to_owned(),
            Part::Byte { value, mask } => {
                [digit(value >> 4, mask >> 4), digit(value & 15, mask & 15)].into_iter().collect()
            }
        };
        const SHOWN: usize = 40;
        let mut parts: Vec<_> = self.0.iter().take(SHOWN + 1).map(part).collect();
        if parts.len() > SHOWN {
            parts[SHOWN] = "…".to_owned();
        }
        f.write_str(&parts.join(" "))
    }
}

fn digit(character: char) -> Result<(u8, u8), String> {
    match (character, character.to_digit(16)) {
        ('?', _) => Ok((0, 0)),
        (_, Some(digit)) => Ok((digit as u8, 15)),
        _ => Err(format!("{character:?} is no hexadecimal digit")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts() {
        let matches = |pattern, text: &str| UdpPattern::text(pattern).unwrap().matches(text.as_bytes());
        assert!(matches("pong", "pong") && matches("p?ng*", "ping 1") && matches("*", "") && matches("", ""));
        assert!(matches("a*b*c", "a--b--b--c") && matches("*a", "aaa"));
        assert!(!matches("pong", "pong!") && !matches("pong", "pon") && !matches("a*b", "a--c"));
    }

    #[test]
    fn digits() {
        let pattern = UdpPattern::hex("00 F? ?1 * ff").unwrap();
        assert_eq!(pattern.to_string(), "00 f? ?1 * ff");
        assert!(pattern.matches(&[0, 0xf7, 0x51, 1, 2, 0xff]) && !pattern.matches(&[0, 0xe7, 0x51, 0xff]));
        assert_eq!(UdpPattern::hex("00ff").unwrap().literal(), Some(vec![0, 255]));
        assert_eq!(pattern.literal(), None);
        for wrong in ["0", "0g", "00 0", "é0"] {
            assert!(UdpPattern::hex(wrong).is_err(), "{wrong}");
        }
        assert!(UdpPattern::text(&"a".repeat(1025)).is_err());
    }

    /// What is meant, without a thought for time.
    fn naive(parts: &[Part], bytes: &[u8]) -> bool {
        match (parts, bytes) {
            ([], rest) => rest.is_empty(),
            ([Part::Any, parts @ ..], _) => (0..=bytes.len()).any(|taken| naive(parts, &bytes[taken..])),
            ([Part::Byte { value, mask }, parts @ ..], [byte, bytes @ ..]) => {
                (byte ^ value) & mask == 0 && naive(parts, bytes)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matches_as_meant(pattern in "[ab?*]{0,8}", text in "[ab]{0,10}") {
            let pattern = UdpPattern::text(&pattern).unwrap();
            prop_assert_eq!(pattern.matches(text.as_bytes()), naive(&pattern.0, text.as_bytes()));
        }

        #[test]
        fn is_read_as_shown(pattern in "([0-9a-f?]{2}|\\*){0,20}") {
            let pattern = UdpPattern::hex(&pattern).unwrap();
            prop_assert_eq!(UdpPattern::hex(&pattern.to_string()).unwrap(), pattern);
        }
    }
}
