//! A host with a keeper, and one that looks at it from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use crate::config::Config;
use crate::holding::{HeldAddress, Holding};
use crate::io::keeper::{Keeper, KeeperOrders, Report, Settings, Setup};
use crate::io::namespace::Host;
use crate::io::{Inbox, Orders, clock};

/// Longer than anything that is waited for, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);

/// The keeper's host is `10.0.0.1` and `fe80::1` on `eth0`, the peer `10.0.0.2` and `fe80::2`.
pub(super) struct Director {
    pub(super) keeper: Option<Keeper>,
    pub(super) orders: KeeperOrders,
    pub(super) reports: Receiver<Report>,
    pub(super) inbox: Inbox,
    pub(super) host: Host,
    pub(super) peer: Host,
}

impl Director {
    pub(super) fn start() -> Self {
        let [host, peer] = Host::pair();
        Self::start_on(host, peer)
    }

    pub(super) fn start_on(host: Host, peer: Host) -> Self {
        let inbox = Inbox::new().unwrap();
        let settings = Settings { inbox: inbox.clone(), guard: None };
        let (keeper, orders, reports) = host.run(|| Keeper::start(settings)).unwrap();
        Self { keeper: Some(keeper), orders, reports, inbox, host, peer }
    }

    /// Configures the router `front`, and it alone.
    pub(super) fn configure(&self, holding: Holding) {
        let holdings = BTreeMap::from([(front(), Arc::new(holding))]);
        let setup = Setup { config: Config::default(), holdings, watched: BTreeSet::new() };
        self.keeper.as_ref().unwrap().configure(setup);
    }

    pub(super) fn hold(&self) {
        self.orders.hold(&front());
        self.orders.announce(&front());
    }

    pub(super) fn release(&self) {
        self.orders.release(&front());
    }

    /// Until `ip` prints this on the keeper's host.
    pub(super) fn shows(&self, words: &str, wanted: &str) {
        until(|| self.host.ip(words), |printed| printed.contains(wanted), wanted);
    }

    /// Until `ip` does not print this any more on the keeper's host.
    pub(super) fn shows_no(&self, words: &str, unwanted: &str) {
        until(|| self.host.ip(words), |printed| !printed.contains(unwanted), unwanted);
    }

    /// Until `ip` prints this on the peer.
    pub(super) fn peer_shows(&self, words: &str, wanted: &str) {
        until(|| self.peer.ip(words), |printed| printed.contains(wanted), wanted);
    }

    /// The next report, as an operator reads it.
    pub(super) fn report(&mut self) -> String {
        let report = until(|| self.reports.try_recv(), Result::is_ok, "a report");
        report.unwrap().to_string()
    }

    /// The host's own MAC address.
    pub(super) fn mac(&self) -> String {
        let printed = self.host.ip("-o link show dev eth0");
        printed.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    }
}

pub(super) fn front() -> Arc<str> {
    "front".into()
}

/// Addresses on `eth0`, of the virtual router 51.
pub(in crate::io::keeper) fn holding(addresses: &[&str]) -> Holding {
    let address = |text: &&str| {
        let (address, prefix) = text.split_once('/').unwrap();
        HeldAddress { address: address.parse().unwrap(), prefix: prefix.parse().unwrap(), interface: None }
    };
    Holding {
        interface: "eth0".into(),
        router_id: 51,
        addresses: addresses.iter().map(address).collect(),
        routes: Vec::new(),
        rules: Vec::new(),
        virtual_mac: false,
        accept: true,
        owner: false,
        announcements: 2,
    }
}

/// Asks again and again.
pub(super) fn until<T: std::fmt::Debug>(
    mut ask: impl FnMut() -> T,
    good: impl Fn(&T) -> bool,
    what: &str,
) -> T {
    let end = clock::now() + PATIENCE;
    loop {
        let answer = ask();
        if good(&answer) {
            return answer;
        }
        assert!(clock::now() < end, "not within {PATIENCE:?}: {what}; last: {answer:?}");
        std::thread::sleep(PAUSE);
    }
}

/// One packet there and back. Needs the Debian package iputils-ping.
pub(super) fn ping(host: &Host, words: &'static str) {
    let output =
        host.run(move || Command::new("ping").args(["-c", "1", "-W", "10"]).args(words.split(' ')).output());
    let output = output.expect("ping runs (Debian package iputils-ping)");
    assert!(output.status.success(), "ping {words}: {output:?}");
}
