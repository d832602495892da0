use std::net::IpAddr;

use super::{AUTHENTICATION, Advert, CHECKSUM, TYPE_ADVERTISEMENT, checksum};
use crate::config::{Checksum, Version};

/// Writes the message that says `advert` into `out`, in place of what is there. `checksum` matters in version 3 over
/// IPv4 only. An interval that the format cannot say becomes the nearest one that it can.
pub fn encode(advert: &Advert, checksum: Checksum, source: IpAddr, destination: IpAddr, out: &mut Vec<u8>) {
    let addresses = &advert.addresses[..advert.addresses.len().min(usize::from(u8::MAX))];
    out.clear();
    let version = match advert.version {
        Version::V2 => 2,
        Version::V3 => 3,
    };
    out.extend([version << 4 | TYPE_ADVERTISEMENT, advert.router_id, advert.priority, addresses.len() as u8]);
    match advert.version {
        Version::V2 => {
            let seconds = advert.interval.as_secs().clamp(1, u64::from(u8::MAX));
            out.extend([u8::from(advert.authentication.is_some()), seconds as u8]);
        }
        Version::V3 => {
            let hundredths = (advert.interval.as_millis() / 10).clamp(1, 0xfff);
            out.extend((hundredths as u16).to_be_bytes());
        }
    }
    out.extend([0, 0]);
    for address in addresses {
        match address {
            IpAddr::V4(address) => out.extend(address.octets()),
            IpAddr::V6(address) => out.extend(address.octets()),
        }
    }
    let message_only = match advert.version {
        Version::V2 => {
            out.extend(advert.authentication.unwrap_or([0; AUTHENTICATION]));
            true
        }
        Version::V3 => source.is_ipv4() && checksum == Checksum::Message,
    };
    let checksum = if message_only {
        checksum::of_message(out)
    } else {
        checksum::with_pseudo_header(source, destination, out)
    };
    out[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
}
