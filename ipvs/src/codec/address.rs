//! Addresses and families.

use std::net::IpAddr;

use netlink_packet_core::DecodeError;

use crate::table::Family;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

pub(super) fn encode_family(family: Family) -> u16 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

pub(super) fn decode_family(family: u16) -> Result<Family, DecodeError> {
    match family {
        AF_INET => Ok(Family::V4),
        AF_INET6 => Ok(Family::V6),
        other => Err(format!("{other} is not an address family of IPVS").into()),
    }
}

/// `union nf_inet_addr`.
pub(super) fn encode_address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

pub(super) fn decode_address(family: Family, bytes: [u8; 16]) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
        Family::V6 => IpAddr::from(bytes),
    }
}

/// The value of an attribute that has to be there.
pub(super) fn required<T>(value: Option<T>, what: &'static str) -> Result<T, DecodeError> {
    value.ok_or_else(|| format!("no {what}").into())
}
