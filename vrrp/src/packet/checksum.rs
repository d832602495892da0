//! The Internet checksum (RFC 1071) and the pseudo-header before it.

use std::net::IpAddr;

use super::PROTOCOL;

/// Of a message alone. Zero for one whose checksum is right.
pub(super) fn of_message(message: &[u8]) -> u16 {
    fold(sum(message))
}

/// Of a message behind the pseudo-header of its family. Zero for one whose checksum is right.
pub(super) fn with_pseudo_header(source: IpAddr, destination: IpAddr, message: &[u8]) -> u16 {
    fold(address(source) + address(destination) + u64::from(PROTOCOL) + message.len() as u64 + sum(message))
}

fn address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => sum(&address.octets()),
        IpAddr::V6(address) => sum(&address.octets()),
    }
}

/// Messages have an even length.
fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(2).map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
