//! The header that tells a real server who its client is (PROXY protocol, versions 1 and 2).
//!
//! Shapes: §2.1 (version 1, at most 107 bytes) and §2.2 (version 2, 28 bytes for IPv4 and 52 for IPv6) of the
//! specification "The PROXY protocol".

use std::net::{IpAddr, SocketAddr};

use crate::ProxyProtocol;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// `destination` is the address that the client connected to. Both are of one family.
pub(crate) fn header(version: ProxyProtocol, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    match version {
        ProxyProtocol::V1 => text(source, destination),
        ProxyProtocol::V2 => binary(source, destination),
    }
}

fn text(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

fn binary(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut header = Vec::with_capacity(52);
    header.extend(SIGNATURE);
    // Version 2, command PROXY; then family and STREAM, and the length of what follows.
    let (family, length): (u8, u16) = if source.is_ipv4() { (0x11, 12) } else { (0x21, 36) };
    header.extend([0x21, family]);
    header.extend(length.to_be_bytes());
    for address in [source.ip(), destination.ip()] {
        match address {
            IpAddr::V4(address) => header.extend(address.octets()),
            IpAddr::V6(address) => header.extend(address.octets()),
        }
    }
    header.extend(source.port().to_be_bytes());
    header.extend(destination.port().to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v1(source: &str, destination: &str) -> String {
        let bytes = header(ProxyProtocol::V1, source.parse().unwrap(), destination.parse().unwrap());
        String::from_utf8(bytes).unwrap()
    }

    /// The example of §2.1.
    #[test]
    fn version_1_is_a_line() {
        assert_eq!(
            v1("192.168.0.1:56324", "192.168.0.11:443"),
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
        );
        assert_eq!(v1("[2001:db8::1]:1", "[2001:db8::2]:2"), "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n");
        let long = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        assert!(v1(long, long).len() <= 107);
    }

    #[test]
    fn version_2_is_binary() {
        let bytes =
            header(ProxyProtocol::V2, "192.0.2.1:56324".parse().unwrap(), "192.0.2.2:443".parse().unwrap());
        let mut expected = vec![0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
        expected.extend([0x21, 0x11, 0x00, 0x0c, 192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 0x01, 0xbb]);
        assert_eq!(bytes, expected);
        let bytes =
            header(ProxyProtocol::V2, "[2001:db8::1]:1".parse().unwrap(), "[2001:db8::2]:2".parse().unwrap());
        assert_eq!(bytes.len(), 52);
        assert_eq!(bytes[12..16], [0x21, 0x21, 0x00, 0x24]);
        assert_eq!(bytes[16..20], [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(bytes[47..], [2, 0, 1, 0, 2]);
    }
}
