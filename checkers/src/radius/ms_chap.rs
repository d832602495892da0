//! MS-CHAPv2 (RFC 2759) in RADIUS (RFC 2548 §2.3).
//!
//! MD4 and DES are as weak as they were; it is what such servers speak.

use des::Des;
use des::cipher::{Array, BlockCipherEncrypt, KeyInit};
use md4::Md4;
use sha1::{Digest, Sha1};

/// Microsoft's vendor number, and its attributes.
const VENDOR: [u8; 4] = 311_u32.to_be_bytes();
const CHALLENGE: u8 = 11;
const RESPONSE: u8 = 25;
const SUCCESS: u8 = 26;

/// What is said of both sides, and what the server has to say in return.
#[derive(Debug)]
pub(super) struct Exchange {
    identifier: u8,
    /// The server's, which in a check is ours as well.
    challenge: [u8; 16],
    peer_challenge: [u8; 16],
    response: [u8; 24],
    /// `S=` and 40 hexadecimal digits.
    proof: String,
}

impl Exchange {
    pub(super) fn new(user: &str, password: &str, identifier: u8, [challenge, peer]: [[u8; 16]; 2]) -> Self {
        let hash = password_hash(password);
        let short = challenge_hash(&peer, &challenge, user);
        let response = challenge_response(&short, &hash);
        let proof = authenticator_response(&hash, &response, &short);
        Self { identifier, challenge, peer_challenge: peer, response, proof }
    }

    /// The values of the Vendor-Specific attributes of the request.
    pub(super) fn attributes(&self) -> [Vec<u8>; 2] {
        let response =
            [&[self.identifier, 0], self.peer_challenge.as_slice(), &[0; 8], &self.response].concat();
        [vendor(CHALLENGE, &self.challenge), vendor(RESPONSE, &response)]
    }

    /// Whether this value of a Vendor-Specific attribute proves that the server has the password.
    pub(super) fn is_proved_by(&self, value: &[u8]) -> bool {
        // A message for people may follow.
        let expected = vendor(SUCCESS, &[&[self.identifier], self.proof.as_bytes()].concat());
        let header = |bytes: &[u8]| bytes.get(..5).map(<[u8]>::to_vec);
        header(value) == header(&expected) && value.get(6..).is_some_and(|it| it.starts_with(&expected[6..]))
    }
}

fn vendor(kind: u8, value: &[u8]) -> Vec<u8> {
    [VENDOR.as_slice(), &[kind, value.len() as u8 + 2], value].concat()
}

/// RFC 2759 §8.3: MD4 of the password in UTF-16.
fn password_hash(password: &str) -> [u8; 16] {
    let utf16: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
    Md4::digest(utf16).into()
}

/// RFC 2759 §8.2.
fn challenge_hash(peer: &[u8; 16], server: &[u8; 16], user: &str) -> [u8; 8] {
    let hash = Sha1::new().chain_update(peer).chain_update(server).chain_update(user).finalize();
    std::array::from_fn(|i| hash[i])
}

/// RFC 2759 §8.5: the hash, padded to 21 bytes, is three keys of 56 bits.
fn challenge_response(challenge: &[u8; 8], hash: &[u8; 16]) -> [u8; 24] {
    let mut keys = [0; 21];
    keys[..16].copy_from_slice(hash);
    let mut response = [0; 24];
    for (part, key) in response.chunks_exact_mut(8).zip(keys.chunks_exact(7)) {
        let mut block = Array::from(*challenge);
        Des::new(&Array::from(with_parity(key))).encrypt_block(&mut block);
        part.copy_from_slice(&block);
    }
    response
}

/// Spreads 56 bits over 8 bytes, whose lowest bits do not count.
fn with_parity(key: &[u8]) -> [u8; 8] {
    let bits = key.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    std::array::from_fn(|i| ((bits >> (49 - 7 * i)) as u8) << 1)
}

/// RFC 2759 §8.7.
fn authenticator_response(hash: &[u8; 16], response: &[u8; 24], challenge: &[u8; 8]) -> String {
    const FIRST: &[u8] = b"Magic server to client signing constant";
    const SECOND: &[u8] = b"Pad to make it do more than one iteration";
    let digest =
        Sha1::new().chain_update(Md4::digest(hash)).chain_update(response).chain_update(FIRST).finalize();
    let digest = Sha1::new().chain_update(digest).chain_update(challenge).chain_update(SECOND).finalize();
    digest.iter().fold("S=".to_owned(), |text, byte| text + &format!("{byte:02X}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2759 §9.2.
    #[test]
    fn of_the_rfc() {
        let challenge = *b"\x5B\x5D\x7C\x7D\x7B\x3F\x2F\x3E\x3C\x2C\x60\x21\x32\x26\x26\x28";
        let peer = *b"\x21\x40\x23\x24\x25\x5E\x26\x2A\x28\x29\x5F\x2B\x3A\x33\x7C\x7E";
        let exchange = Exchange::new("User", "clientPass", 7, [challenge, peer]);
        assert_eq!(
            exchange.response,
            *b"\x82\x30\x9E\xCD\x8D\x70\x8B\x5E\xA0\x8F\xAA\x39\x81\xCD\x83\x54\x42\x33\x11\x4A\x3D\x85\xD6\xDF"
        );
        assert_eq!(exchange.proof, "S=407A5589115FD0D6209F510FE9C04566932CDA56");

        let success = vendor(SUCCESS, b"\x07S=407A5589115FD0D6209F510FE9C04566932CDA56 M=welcome");
        assert!(exchange.is_proved_by(&success));
        let other = vendor(SUCCESS, b"\x07S=507A5589115FD0D6209F510FE9C04566932CDA56");
        assert!(!exchange.is_proved_by(&other) && !exchange.is_proved_by(&[]));
    }
}
