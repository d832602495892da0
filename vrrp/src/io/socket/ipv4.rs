//! The header that raw IPv4 sockets deliver (RFC 791 §3.1).

use std::net::Ipv4Addr;

use super::Packet;

/// Takes a datagram apart; none if the kernel cannot have delivered it.
pub(super) fn parse(datagram: &[u8]) -> Option<Packet<'_>> {
    let header = datagram.first_chunk::<20>()?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let total_length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    // What comes after it is padding of the link; a message longer than the buffer is cut off.
    let message = datagram.get(header_length.max(20)..total_length.min(datagram.len()))?;
    Some(Packet {
        source: Ipv4Addr::new(header[12], header[13], header[14], header[15]).into(),
        destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]).into(),
        ttl: header[8],
        message,
    })
}
