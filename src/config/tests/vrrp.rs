use std::net::IpAddr;
use std::time::Duration;

use tidegate_vrrp::config::{Announce, Checksum, Effect, Family, Peers, Track, Version};
use tidegate_vrrp::holding::{HeldAddress, Route, Rule};

use super::{right, with, wrong};
use crate::config::{SyncRole, VirtualRouter, Watch};

/// A virtual router with further keys and tables.
fn router(keys: &str) -> String {
    format!(
        "[[vrrp]]\nname = \"front\"\ninterface = \"eth0\"\nrouter_id = 51\naddresses = [\"192.0.2.10/24\"]\n{keys}\n"
    )
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn held(address: &str, prefix: u8) -> HeldAddress {
    HeldAddress { address: ip(address), prefix, interface: None }
}

fn only(text: &str, because: &str) {
    let mistakes = wrong(text);
    assert!(matches!(mistakes.as_slice(), [one] if one.contains(because)), "{text}\n{mistakes:?}");
}

fn one(text: &str) -> VirtualRouter {
    right(text).virtual_routers[0].clone()
}

#[test]
fn defaults() {
    let VirtualRouter { router: it, holding, notify } = one(&router(""));
    assert_eq!((&*it.name, &*it.interface, it.router_id), ("front", "eth0", 51));
    assert_eq!((it.version, it.family, it.priority), (Version::V3, Family::Ipv4, 100));
    assert_eq!((it.interval, it.preempt, it.preempt_delay), (Duration::from_secs(1), true, Duration::ZERO));
    assert_eq!((&it.peers, it.source, it.authentication), (&Peers::Multicast, None, None));
    assert_eq!((it.checksum, it.announce, &it.group), (Checksum::PseudoHeader, Announce::default(), &None));
    assert_eq!(*it.addresses, [ip("192.0.2.10")]);
    assert!(it.tracks.is_empty() && notify.is_none());
    assert_eq!(holding.addresses, [held("192.0.2.10", 24)]);
    assert!(holding.accept && !holding.owner && !holding.virtual_mac);
    assert_eq!((&*holding.interface, holding.router_id, holding.announcements), ("eth0", 51, 5));
}

#[test]
fn everything_written_is_read() {
    let model = right(&with(
        r#"
[[director.ipvs.sync]]
follow = "front"
interface = "eth1"

[[vrrp]]
name = "front"
interface = "eth0"
router_id = 51
version = 2
priority = 150
advert_interval = "2s"
addresses = ["192.0.2.10/24", { address = "192.0.2.11", interface = "eth1" }]
extra_addresses = "2001:db8::10/64"
unicast_peers = ["10.0.0.2", "10.0.0.3"]
min_ttl = 254
source = "10.0.0.1"
password = "secret"
preempt_delay = "60s"
virtual_mac = true
accept = false
announce = { count = 3, delay = "1s", refresh = "30s" }
group = "all"
notify = { command = ["/usr/local/bin/tell", "-q"], timeout = "5s" }

[[vrrp.route]]
to = "0.0.0.0/0"
via = "192.0.2.1"
interface = "eth0"
source = "192.0.2.10"
table = 100
metric = 10

[[vrrp.rule]]
from = "10.0.0.0/8"
to = "192.0.2.0/24"
input = "eth1"
fwmark = 7
table = 100
priority = 1000

[[vrrp.track]]
type = "interface"
interface = "eth1"

[[vrrp.track]]
type = "script"
name = "uplink"
command = ["/usr/local/bin/uplink"]
interval = "5s"
timeout = "3s"
rise = 2
fall = 3
weight = -20

[[vrrp.track]]
type = "file"
path = "/etc/tidegate/priority"
weight = 1

[[vrrp.track]]
type = "process"
program = "named"
least = 2
interval = "500ms"

[[vrrp.track]]
type = "virtual_server"
virtual_server = "web"
weight = -60
"#,
    ));
    let VirtualRouter { router: it, holding, notify } = &model.virtual_routers[0];
    assert_eq!((it.version, it.priority, it.interval), (Version::V2, 150, Duration::from_secs(2)));
    assert_eq!(*it.addresses, [ip("192.0.2.10"), ip("192.0.2.11")]);
    let peers = [ip("10.0.0.2"), ip("10.0.0.3")].into();
    assert_eq!((&it.peers, it.source), (&Peers::Unicast { peers, min_ttl: 254 }, Some(ip("10.0.0.1"))));
    assert_eq!((it.authentication, it.preempt_delay), (Some(*b"secret\0\0"), Duration::from_secs(60)));
    assert_eq!((it.announce.count, it.announce.refresh), (3, Duration::from_secs(30)));
    assert_eq!(it.group.as_deref(), Some("all"));
    let on_eth1 = HeldAddress { interface: Some("eth1".into()), ..held("192.0.2.11", 32) };
    assert_eq!(holding.addresses, [held("192.0.2.10", 24), on_eth1, held("2001:db8::10", 64)]);
    assert!(holding.virtual_mac && !holding.accept);
    let route = Route {
        destination: ip("0.0.0.0"),
        prefix: 0,
        via: Some(ip("192.0.2.1")),
        interface: Some("eth0".into()),
        source: Some(ip("192.0.2.10")),
        table: Some(100),
        metric: Some(10),
    };
    assert_eq!(holding.routes, [route]);
    let rule = Rule {
        ipv6: false,
        from: Some((ip("10.0.0.0"), 8)),
        to: Some((ip("192.0.2.0"), 24)),
        input: Some("eth1".into()),
        fwmark: Some(7),
        table: 100,
        priority: 1000,
    };
    assert_eq!(holding.rules, [rule]);
    let notify = notify.as_ref().unwrap();
    assert_eq!((notify.command.arguments.len(), notify.timeout), (2, Duration::from_secs(5)));
    let track = |key: &str, effect| Track { key: key.into(), effect };
    let tracks = [
        track("interface eth1", Effect::Fault),
        track("script uplink", Effect::Weight(-20)),
        track("file /etc/tidegate/priority", Effect::Weight(1)),
        track("process named", Effect::Fault),
        track("virtual_server web", Effect::Weight(-60)),
    ];
    assert_eq!(it.tracks, tracks);
    assert_eq!(model.watches.len(), 5);
    assert!(matches!(&model.watches["script uplink"], Watch::Script { rise: 2, fall: 3, .. }));
    assert!(matches!(&model.watches["process named"], Watch::Process { least: 2, .. }));
    assert_eq!(model.director.ipvs.sync[0].role, SyncRole::Follows("front".into()));
}

#[test]
fn an_owner_and_ipv6() {
    let it = one(&router("priority = 255"));
    assert!(it.holding.owner);
    let text = router("").replace("192.0.2.10/24", "fe80::10\", \"2001:db8::10/64");
    assert_eq!(one(&text).router.family, Family::Ipv6);
    assert_eq!(one(&text).holding.addresses[0], held("fe80::10", 128));
}

#[test]
fn one_mistake_each() {
    for (keys, because) in [
        ("priority = 0", "from 1 to 255"),
        ("version = 4", "from 2 to 3"),
        ("advert_interval = \"15ms\"", "a multiple of 10ms"),
        ("advert_interval = \"41s\"", "from 10ms to 40.95s"),
        ("version = 2\nadvert_interval = \"1.5s\"", "whole seconds in version 2"),
        ("extra_addresses = \"224.0.0.1\"", "unicast"),
        ("extra_addresses = \"127.0.0.1\"", "other hosts can reach"),
        ("extra_addresses = \"192.0.2.10/33\"", "its network's bits"),
        ("extra_addresses = { address = \"192.0.2.9\", interfaces = \"eth1\" }", "not `interfaces`"),
        ("extra_addresses = \"192.0.2.10\"", "held twice"),
        ("unicast_peers = \"2001:db8::2\"", "another family"),
        ("source = \"2001:db8::2\"", "another family"),
        ("min_ttl = 254", "belongs to `unicast_peers`"),
        ("password = \"x\"", "belongs to version 2"),
        ("version = 2\npassword = \"too long a one\"", "1 to 8 bytes, not 14"),
        ("version = 2\nchecksum = \"message\"", "belongs to version 3"),
        ("preempt = false\npreempt_delay = \"1s\"", "means nothing"),
        ("announce = { refresh = \"10ms\" }", "at least 1s"),
        ("notify = \"relative\"", "absolute path"),
        ("notify = { command = [\"/bin/true\"], user = \"no-such-user\" }", "user of this system"),
        ("group = \"front\"", "name of a group and of a virtual router"),
        ("track = { type = \"virtual_server\", virtual_server = \"web\", weight = 1 }", "no virtual server"),
        ("track = { type = \"script\", command = [\"/x\"], weight = 0 }", "not 0"),
        ("track = { type = \"interface\", interface = \"eth1\", name = \"x\" }", "name of its own"),
        ("track = { type = \"script\" }", "`command` is missing"),
        ("track = { type = \"script\", command = [\"/x\"], timeout = \"3s\" }", "more than interval"),
        ("route = { to = \"10.0.0.1/8\" }", "bits behind /8"),
        ("route = { to = \"10.0.0.0/8\", via = \"2001:db8::1\" }", "another family"),
        ("rule = { table = 1, priority = 1 }", "needs `from`"),
        (
            "rule = { table = 1, priority = 1, from = \"10.0.0.0/8\", to = \"::/0\" }",
            "different address families",
        ),
        ("advert_intervall = \"1s\"", "did you mean `advert_interval`"),
    ] {
        only(&router(keys), because);
    }
}

#[test]
fn a_quorum_is_no_fault() {
    let track = "[[vrrp.track]]\ntype = \"virtual_server\"\nvirtual_server = \"web\"";
    only(&(with("") + &router(track)), "is tracked with a `weight`");
}

#[test]
fn families_and_versions() {
    only(&router("").replace("/24\"", "/24\", \"2001:db8::1\""), "of one family");
    only(&router("version = 2").replace("192.0.2.10/24", "2001:db8::1"), "IPv4 only");
    only(&router("").replace("addresses = [\"192.0.2.10/24\"]", ""), "needs `addresses`");
}

#[test]
fn routers_that_do_not_go_together() {
    let second = router("").replace("front", "back").replace("192.0.2.10/24", "192.0.2.11");
    let other_id = second.replace("51", "52");
    right(&(router("") + &other_id));
    only(&(router("") + &second), "router_id 51 is used on eth0 already");
    only(&(router("") + &other_id.replace("back", "front")), "a virtual router named \"front\" already");
    only(&(router("") + &other_id.replace(".11", ".10")), "held twice");
    let grouped = |text: &str, keys: &str| format!("{text}group = \"all\"\n{keys}\n");
    right(&(grouped(&router(""), "") + &grouped(&other_id, "")));
    only(&(grouped(&router(""), "") + &grouped(&other_id, "priority = 90")), "one priority, 100 or 90");
    let script = |user: &str| {
        format!("track = {{ type = \"script\", name = \"x\", command = [\"{user}\"], weight = 5 }}")
    };
    right(&(router(&script("/a")) + &other_id + &script("/a")));
    only(&(router(&script("/a")) + &other_id + &script("/b")), "in another way elsewhere");
    only(
        &router(
            &script("/a")
                .replace("= {", "= [{")
                .replace('}', "}, { type = \"script\", name = \"x\", command = [\"/a\"] }]"),
        ),
        "already",
    );
}

#[test]
fn a_sync_daemon_follows_a_router_that_there_is() {
    let sync = "[[director.ipvs.sync]]\ninterface = \"eth1\"\nfollow = \"front\"\n";
    right(&(sync.to_owned() + &router("")));
    only(sync, "no [[vrrp]] named \"front\"");
    only(&(sync.to_owned() + "role = \"active\"\n" + &router("")), "comes from the virtual router");
    let second = "[[director.ipvs.sync]]\ninterface = \"eth1\"\nrole = \"backup\"\n";
    only(&(sync.to_owned() + second + &router("")), "one synchronisation daemon of each role");
}
