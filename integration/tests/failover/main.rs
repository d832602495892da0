//! Pairs of directors on one Ethernet: who holds the addresses, and what a client sees of a failover.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod gaps;
mod keepalived;
mod reload;
mod sync;
mod told;
mod tracks;
mod trouble;
mod wire;

use std::time::Duration;

use tidegate_integration::clock::{now, wait_for};
use tidegate_integration::director::Director;
use tidegate_integration::failover::{Router, held, launch, wait_for_holder};
use tidegate_integration::namespace::Lan;

const HOSTS: [u8; 2] = [1, 2];
/// Many adverts; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(100);
const BETTER: u8 = 150;
const LESSER: u8 = 100;

/// This project's directors on hosts 1, the better one, and 2, and a host 3 for a client.
struct Pair {
    directors: Vec<Director>,
    lan: Lan,
    router: Router,
}

impl Pair {
    /// With these lines after the keys of `[[vrrp]]` of both. Host 1 is Active and host 2 Backup then.
    fn start(interval: Duration, lines: &str) -> Self {
        Self::start_with(interval, |_| lines.to_owned())
    }

    /// As [`Pair::start`] does, with lines for each host.
    fn start_with(interval: Duration, lines: impl Fn(u8) -> String) -> Self {
        Self::start_router(Router::new(100, interval), lines)
    }

    fn start_router(router: Router, lines: impl Fn(u8) -> String) -> Self {
        let mut pair = Self { directors: Vec::new(), lan: Lan::new(3), router };
        for (host, priority) in HOSTS.into_iter().zip([BETTER, LESSER]) {
            let text = pair.configuration(host, priority, &lines(host));
            pair.directors.push(launch(&pair.lan, host).start(&text));
        }
        pair.holds("they elect", 1);
        pair.wait_for_state(2, "backup");
        pair
    }

    fn configuration(&self, host: u8, priority: u8, lines: &str) -> String {
        self.router.tidegate(host, priority) + lines + "\n"
    }

    fn director(&self, host: u8) -> &Director {
        &self.directors[usize::from(host) - 1]
    }

    /// Waits until this host holds the address and the other does not.
    fn holds(&self, what: &str, host: u8) {
        wait_for_holder(what, &self.lan, &HOSTS, std::slice::from_ref(&self.router), host, PATIENCE);
    }

    /// Looks for longer than an active down interval whether this host alone holds the address.
    fn stays(&self, what: &str, host: u8) {
        let end = now() + 5 * self.router.interval;
        while now() < end {
            for it in HOSTS {
                let held = held(&self.lan, it, std::slice::from_ref(&self.router)).len();
                assert_eq!(held, usize::from(it == host), "host {it}: {what}");
            }
        }
    }

    fn state(&self, host: u8) -> String {
        self.director(host).virtual_router("r100")["state"].as_str().unwrap().to_owned()
    }

    fn wait_for_state(&self, host: u8, state: &str) {
        wait_for(&format!("host {host} to be {state}"), PATIENCE, || {
            (self.state(host) == state).then_some(())
        });
    }
}
