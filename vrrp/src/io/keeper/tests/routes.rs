use super::director::{Director, holding};
use crate::holding::{Holding, Route, Rule};

fn with_routes() -> Holding {
    let route = |destination: &str, prefix, via: Option<&str>| Route {
        destination: destination.parse().unwrap(),
        prefix,
        via: via.map(|via| via.parse().unwrap()),
        interface: None,
        source: None,
        table: None,
        metric: None,
    };
    let rule = |ipv6, from: &str, prefix, priority| Rule {
        ipv6,
        from: Some((from.parse().unwrap(), prefix)),
        to: None,
        input: None,
        fwmark: Some(7),
        table: 1000,
        priority,
    };
    let source = Some("10.0.0.100".parse().unwrap());
    Holding {
        routes: vec![
            Route { source, ..route("198.51.100.0", 24, Some("10.0.0.2")) },
            Route { table: Some(1000), metric: Some(5), ..route("0.0.0.0", 0, None) },
            Route { interface: Some("eth0".into()), ..route("2001:db8:1::", 48, Some("fe80::2")) },
        ],
        rules: vec![rule(false, "10.1.0.0", 16, 100), rule(true, "fd01::", 32, 101)],
        ..holding(&["10.0.0.100/32"])
    }
}

#[test]
fn routes_and_rules_come_and_go() {
    let mut director = Director::start();
    director.configure(with_routes());
    director.hold();
    director.shows("rule show", "100:\tfrom 10.1.0.0/16 fwmark 0x7 lookup 1000");
    director.shows("-6 rule show", "101:\tfrom fd01::/32 fwmark 0x7 lookup 1000");
    director.shows("route show", "198.51.100.0/24 via 10.0.0.2 dev eth0");
    director.shows("route show", "src 10.0.0.100");
    director.shows("route show table 1000", "default dev eth0");
    director.shows("-6 route show", "2001:db8:1::/48 via fe80::2 dev eth0");

    // Nobody says that routes are gone when a link goes down and comes back.
    director.host.ip("link set eth0 down");
    director.host.ip("link set eth0 up");
    director.shows("route show table 1000", "default dev eth0");
    director.host.ip("rule delete priority 100");
    director.shows("rule show", "100:\tfrom 10.1.0.0/16");

    director.release();
    director.shows_no("rule show", "100:");
    director.shows_no("-6 rule show", "101:");
    director.shows_no("route show table all", "198.51.100");
    director.shows_no("route show table all", "table 1000");
    director.shows_no("-6 route show", "2001:db8:1::");
    drop(director.keeper.take());
}
