//! The hash of the hashing schedulers.
//!
//! Without a random key, so that both directors and all restarts send a client to the same real server.

use std::net::{IpAddr, SocketAddr};

use crate::SchedulerFlags;

/// Of the client's address, and its port when the flag says so.
fn client(address: SocketAddr, flags: SchedulerFlags) -> u64 {
    let port = if flags.port { u64::from(address.port()) + 1 } else { 0 };
    mix(ip(address.ip()) ^ mix(port))
}

/// The entries of a table of `size`, 256 or a prime, that this client is to try: its own, and with fallback all
/// others in an order of its own, so that the clients of a lost server spread over the rest.
pub(super) fn entries(size: usize, client: SocketAddr, flags: SchedulerFlags) -> impl Iterator<Item = usize> {
    let hash = self::client(client, flags);
    let start = hash as u32 as usize;
    // Odd and less than the size, it has no divisor in common with it.
    let stride = ((hash >> 32) as usize % (size - 1)) | 1;
    (0..if flags.fallback { size } else { 1 }).map(move |step| (start + step * stride) % size)
}

/// Of a destination; different seeds give independent values.
pub(super) fn destination(address: SocketAddr, seed: u64) -> u64 {
    mix(ip(address.ip()) ^ mix(u64::from(address.port()) ^ (seed << 32)))
}

fn ip(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => mix(u64::from(u32::from(address))),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            mix((bits >> 64) as u64).rotate_left(17) ^ mix(bits as u64)
        }
    }
}

/// The finalizer of splitmix64: every input bit changes half of the output bits.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fallback_visits_every_entry_once() {
        let flags = SchedulerFlags { fallback: true, port: true };
        for size in [256, 4093] {
            for number in 0..500 {
                let client = super::super::testing::client(number);
                let mut seen: Vec<_> = entries(size, client, flags).collect();
                assert_eq!(
                    entries(size, client, SchedulerFlags { fallback: false, ..flags }).next(),
                    Some(seen[0])
                );
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..size));
            }
        }
    }

    /// A change of these values would send every client to another server at the next upgrade.
    #[test]
    fn values_stay_as_they_are() {
        let address = "192.0.2.1:1234".parse().unwrap();
        let port = SchedulerFlags { port: true, fallback: false };
        assert_eq!(
            client(address, SchedulerFlags::default()),
            client("192.0.2.1:9".parse().unwrap(), SchedulerFlags::default())
        );
        assert_ne!(client(address, port), client("192.0.2.1:9".parse().unwrap(), port));
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_ne!(destination(address, 1), destination(address, 2));
        assert_ne!(ip("2001:db8::1".parse().unwrap()), ip("2001:db8:0:1::".parse().unwrap()));
    }
}
