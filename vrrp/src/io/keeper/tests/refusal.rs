use std::process::Command;

use super::director::{Director, holding, ping, until};
use crate::holding::Holding;
use crate::io::keeper::refusal;
use crate::io::namespace::Host;
use crate::io::netlink;

pub(super) fn tables(host: &Host) -> String {
    let output = host.run(|| Command::new("nft").args(["list", "ruleset"]).output());
    String::from_utf8(output.expect("nft runs (Debian package nftables)").stdout).unwrap()
}

fn answers(host: &Host, address: &'static str) -> bool {
    let ping = move || Command::new("ping").args(["-c", "1", "-W", "1", address]).output();
    host.run(ping).expect("ping runs (Debian package iputils-ping)").status.success()
}

#[test]
fn addresses_that_are_not_accepted_are_resolved_but_do_not_answer() {
    let mut director = Director::start();
    let refused = Holding { accept: false, ..holding(&["10.0.0.100/24", "fd00::100/64"]) };
    director.configure(refused);
    director.peer.ip("address add fd00::2/64 dev eth0 nodad");
    until(|| tables(&director.host), |tables| tables.contains("10.0.0.100"), "the table");
    director.hold();
    director.shows("-o address show dev eth0", "fd00::100");
    for address in ["10.0.0.100", "fd00::100"] {
        assert!(!answers(&director.peer, address), "{address}");
        director.peer_shows(&format!("neighbour show to {address}"), &director.mac());
        assert!(answers(&director.host, address), "it is there for the host itself: {address}");
    }
    ping(&director.peer, "10.0.0.1");

    director.configure(holding(&["10.0.0.100/24", "fd00::100/64"]));
    until(|| answers(&director.peer, "10.0.0.100"), |answers| *answers, "an answer");
    drop(director.keeper.take());
    assert!(!tables(&director.host).contains("tidegate"));
}

#[test]
fn what_a_predecessor_has_refused_is_not_refused_any_more() {
    let [host, peer] = Host::pair();
    host.run(|| Command::new("nft").arg("add table inet tidegate_vrrp").status()).unwrap();
    assert!(tables(&host).contains("tidegate_vrrp"));
    let director = Director::start_on(host, peer);
    director.configure(holding(&["10.0.0.100/24"]));
    until(|| tables(&director.host), |tables| !tables.contains("tidegate_vrrp"), "no table");
}

#[test]
fn the_guard_knows_how_to_remove_the_table() {
    let host = Host::new();
    host.run(|| Command::new("nft").arg("add table inet tidegate_vrrp").status()).unwrap();
    assert!(tables(&host).contains("tidegate_vrrp"));
    host.run(|| netlink::tell_netfilter(&refusal::removal())).unwrap();
    assert!(!tables(&host).contains("tidegate_vrrp"));
    let again = host.run(|| netlink::tell_netfilter(&refusal::removal())).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::NotFound);
}
