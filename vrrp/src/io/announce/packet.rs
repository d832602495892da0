//! Announcements as they are on the wire.

use std::net::{Ipv4Addr, Ipv6Addr};

/// To every host of the link.
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ICMPV6: u8 = 58;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;

/// A gratuitous ARP request (RFC 5227 §3, RFC 9568 §8.1.2): sender and target are the address itself.
pub(super) fn gratuitous_arp(address: Ipv4Addr, mac: [u8; 6]) -> [u8; 28] {
    let mut packet = [0; 28];
    // Ethernet, IPv4, 6 and 4 bytes, request.
    packet[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    packet[8..14].copy_from_slice(&mac);
    packet[14..18].copy_from_slice(&address.octets());
    packet[24..28].copy_from_slice(&address.octets());
    packet
}

/// An unsolicited neighbour advertisement in its IPv6 packet (RFC 4861 §4.4, §7.2.6): it overrides what is known.
pub(super) fn neighbour_advertisement(address: Ipv6Addr, mac: [u8; 6], router: bool) -> [u8; 72] {
    let mut packet = [0; 72];
    let (header, message) = packet.split_at_mut(40);
    header[0] = 6 << 4;
    header[5] = 32;
    header[6] = ICMPV6;
    header[7] = 255;
    header[8..24].copy_from_slice(&address.octets());
    header[24..40].copy_from_slice(&ALL_NODES.octets());
    message[0] = NEIGHBOUR_ADVERTISEMENT;
    message[4] = if router { 0b1010_0000 } else { 0b0010_0000 };
    message[8..24].copy_from_slice(&address.octets());
    message[24] = TARGET_LINK_LAYER_ADDRESS;
    message[25] = 1;
    message[26..32].copy_from_slice(&mac);
    let sum = checksum(&header[8..], message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// Of an ICMPv6 message with its pseudo-header (RFC 8200 §8.1), both of even length.
fn checksum(addresses: &[u8], message: &[u8]) -> u16 {
    let words = addresses.chunks_exact(2).chain(message.chunks_exact(2));
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let sum = sum + message.len() as u32 + u32::from(ICMPV6);
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests;
