//! The Internet's checksum (RFC 1071).

/// Over all parts as if they were one; each but the last has an even length.
pub(crate) fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    let mut sum: u32 = parts.iter().flat_map(|part| part.chunks(2)).map(word).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    (!sum as u16).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 §3.
    #[test]
    fn of_the_rfc() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&[&bytes]), [!0xdd, !0xf2]);
        assert_eq!(checksum(&[&bytes[..2], &bytes[2..]]), [!0xdd, !0xf2]);
        assert_eq!(checksum(&[&[0xff, 0xff, 1]]), [!1, !0]);
    }
}
