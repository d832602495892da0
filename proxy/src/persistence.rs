//! Templates: which destination the clients of a network stay with.
//!
//! Shared by all threads behind locks, split by the network's hash so that two threads seldom want the same
//! one; a service without persistence never comes here. Bounded: when a shard is full, the network whose
//! template was made first and was not used since goes.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Persistence;
use crate::clock::{Millis, millis};

const SHARDS: usize = 16;
/// Templates in one shard at most: 131,072 in all, some 12 MB.
const SHARD_SIZE: usize = 8192;
/// How many of the oldest are looked at when one is added.
const EXAMINED: usize = 8;

#[derive(Debug)]
pub(crate) struct Templates {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    templates: HashMap<IpAddr, Template>,
    /// Every network once, the oldest first.
    order: VecDeque<IpAddr>,
}

#[derive(Debug, Clone, Copy)]
struct Template {
    destination: SocketAddr,
    used: Millis,
    /// Used again since it was made or last spared.
    again: bool,
}

impl Templates {
    pub(crate) fn new() -> Templates {
        Templates { hasher: RandomState::new(), shards: Default::default() }
    }

    /// The destination that this client's network had within the timeout.
    pub(crate) fn find(&self, settings: Persistence, client: IpAddr, now: Millis) -> Option<SocketAddr> {
        let network = network(settings, client);
        let shard = self.shard(network);
        let template = shard.templates.get(&network)?;
        (now.saturating_sub(template.used) < millis(settings.timeout)).then_some(template.destination)
    }

    /// To be called for each connection that is given to a destination.
    pub(crate) fn note(&self, settings: Persistence, client: IpAddr, destination: SocketAddr, now: Millis) {
        let network = network(settings, client);
        let mut shard = self.shard(network);
        if let Some(template) = shard.templates.get_mut(&network) {
            *template = Template { destination, used: now, again: true };
            return;
        }
        shard.make_room(now, millis(settings.timeout));
        shard.templates.insert(network, Template { destination, used: now, again: false });
        shard.order.push_back(network);
    }

    fn shard(&self, network: IpAddr) -> MutexGuard<'_, Shard> {
        let index = self.hasher.hash_one(network) as usize % SHARDS;
        // A shard is whole between any two statements, so a panic of another thread has not spoilt it.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Looks at a few of the oldest: what has expired goes, what was used again gets a second chance, and if
    /// the shard is full the next one goes in any case.
    fn make_room(&mut self, now: Millis, timeout: Millis) {
        for _ in 0..EXAMINED {
            let Some(&oldest) = self.order.front() else { return };
            let full = self.templates.len() >= SHARD_SIZE;
            let Some(template) = self.templates.get_mut(&oldest) else { return };
            let expired = now.saturating_sub(template.used) >= timeout;
            if !expired && !full {
                return;
            }
            self.order.pop_front();
            if !expired && template.again {
                template.again = false;
                self.order.push_back(oldest);
            } else {
                self.templates.remove(&oldest);
            }
        }
        while self.templates.len() >= SHARD_SIZE {
            let Some(oldest) = self.order.pop_front() else { return };
            self.templates.remove(&oldest);
        }
    }
}

fn network(settings: Persistence, client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(address) => {
            let host_bits = 32u32.saturating_sub(settings.prefix_v4.into());
            Ipv4Addr::from(u32::from(address) & u32::MAX.checked_shl(host_bits).unwrap_or(0)).into()
        }
        IpAddr::V6(address) => {
            let host_bits = 128u32.saturating_sub(settings.prefix_v6.into());
            Ipv6Addr::from(u128::from(address) & u128::MAX.checked_shl(host_bits).unwrap_or(0)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SETTINGS: Persistence =
        Persistence { timeout: Duration::from_secs(10), prefix_v4: 24, prefix_v6: 64 };

    fn server(number: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, number], 80))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_stays_until_the_timeout_after_its_last_connection() {
        let templates = Templates::new();
        templates.note(SETTINGS, address("192.0.2.1"), server(1), 0);
        assert_eq!(templates.find(SETTINGS, address("192.0.2.200"), 9_999), Some(server(1)));
        assert_eq!(templates.find(SETTINGS, address("192.0.3.1"), 0), None);
        templates.note(SETTINGS, address("192.0.2.7"), server(2), 5_000);
        assert_eq!(templates.find(SETTINGS, address("192.0.2.1"), 14_999), Some(server(2)));
        assert_eq!(templates.find(SETTINGS, address("192.0.2.1"), 15_000), None);
    }

    #[test]
    fn prefixes_of_both_families() {
        let templates = Templates::new();
        templates.note(SETTINGS, address("2001:db8::1"), server(1), 0);
        assert_eq!(templates.find(SETTINGS, address("2001:db8::ffff:1"), 1), Some(server(1)));
        assert_eq!(templates.find(SETTINGS, address("2001:db8:0:1::1"), 1), None);
        for (prefix, expected) in [(32, "192.0.2.129"), (25, "192.0.2.128"), (1, "128.0.0.0"), (0, "0.0.0.0")]
        {
            let settings = Persistence { prefix_v4: prefix, ..SETTINGS };
            assert_eq!(network(settings, address("192.0.2.129")), address(expected));
        }
    }

    #[test]
    fn a_flood_of_clients_is_bounded_and_spares_those_who_come_back() {
        let templates = Templates::new();
        let settings = Persistence { prefix_v4: 32, ..SETTINGS };
        let regular = address("192.0.2.1");
        for number in 0..400_000u32 {
            if number % 1_000 == 0 {
                templates.note(settings, regular, server(1), 0);
            }
            templates.note(settings, Ipv4Addr::from(0x0a00_0000 + number).into(), server(2), 0);
        }
        let total: usize = templates.shards.iter().map(|shard| shard.lock().unwrap().templates.len()).sum();
        assert_eq!(total, SHARDS * SHARD_SIZE);
        let queued: usize = templates.shards.iter().map(|shard| shard.lock().unwrap().order.len()).sum();
        assert_eq!(queued, total);
        assert_eq!(templates.find(settings, regular, 1), Some(server(1)));
    }

    #[test]
    fn expired_templates_make_room_before_the_shard_is_full() {
        let templates = Templates::new();
        let settings = Persistence { prefix_v4: 32, ..SETTINGS };
        for number in 0..10_000u32 {
            templates.note(settings, Ipv4Addr::from(number).into(), server(1), 0);
        }
        for number in 20_000..30_000u32 {
            templates.note(settings, Ipv4Addr::from(number).into(), server(1), 60_000);
        }
        let total: usize = templates.shards.iter().map(|shard| shard.lock().unwrap().templates.len()).sum();
        assert!(total < 11_000, "{total}");
    }
}
