//! How a password is proved without being sent.

use sha1::{Digest, Sha1};
use sha2::Sha256;

/// Ways to prove a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plugin {
    /// `mysql_native_password`, MariaDB's default.
    Native,
    /// `caching_sha2_password`, the default of MySQL 8.
    CachingSha2,
}

const PLUGINS: [(&str, Plugin); 2] =
    [("mysql_native_password", Plugin::Native), ("caching_sha2_password", Plugin::CachingSha2)];

impl Plugin {
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        PLUGINS.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, plugin)| *plugin)
    }

    pub(super) fn name(self) -> &'static str {
        PLUGINS.iter().find(|(_, plugin)| *plugin == self).map_or("", |(name, _)| name)
    }

    /// What proves `password` to a server that has sent `seed`. An empty password is proved by nothing.
    pub(super) fn proof(self, password: &[u8], seed: &[u8]) -> Vec<u8> {
        match self {
            _ if password.is_empty() => Vec::new(),
            Self::Native => {
                let hash = Sha1::digest(password);
                xor(&hash, &Sha1::digest([seed, &Sha1::digest(hash)[..]].concat()))
            }
            Self::CachingSha2 => {
                let hash = Sha256::digest(password);
                xor(&hash, &Sha256::digest([&Sha256::digest(hash)[..], seed].concat()))
            }
        }
    }
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server does: it keeps the hash of the hash, and takes the hash out of the proof.
    #[test]
    fn a_server_finds_the_password_proved() {
        let (password, seed) = (b"tiger", b"abcdefghijklmnopqrst");
        let kept = Sha1::digest(Sha1::digest(password));
        let hash = xor(&Plugin::Native.proof(password, seed), &Sha1::digest([&seed[..], &kept].concat()));
        assert_eq!(Sha1::digest(hash), kept);

        let kept = Sha256::digest(Sha256::digest(password));
        let hash =
            xor(&Plugin::CachingSha2.proof(password, seed), &Sha256::digest([&kept[..], seed].concat()));
        assert_eq!(Sha256::digest(hash), kept);
        assert_eq!(Plugin::Native.proof(b"", seed), b"");
    }
}
