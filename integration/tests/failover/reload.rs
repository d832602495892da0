//! A reload changes what is written, and moves nothing else.

use std::net::IpAddr;

use tidegate_integration::clock::wait_for;

use super::{BETTER, HOSTS, LESSER, PATIENCE, Pair, SHORT};

#[test]
fn a_reload_changes_priorities_addresses_and_routers() {
    let pair = Pair::start(SHORT, "");
    let text = |priority, lines: &str| pair.configuration(1, priority, lines);

    pair.director(1).reload(&text(BETTER, "extra_addresses = [\"10.77.0.110/24\", \"fd77::110/64\"]"));
    let extra: [IpAddr; 2] = ["10.77.0.110".parse().unwrap(), "fd77::110".parse().unwrap()];
    let both = || {
        let addresses = pair.lan.addresses(1);
        extra.iter().filter(|it| addresses.contains(it)).count()
    };
    wait_for("the new addresses", PATIENCE, || (both() == 2).then_some(()));
    pair.director(1).reload(&text(BETTER, ""));
    wait_for("the new addresses to go", PATIENCE, || (both() == 0).then_some(()));
    pair.stays("more and fewer addresses", 1);

    pair.director(1).write(&text(BETTER, "advert_interval = \"5ms\"\nrouter_id = 300"));
    pair.director(1).signal("HUP");
    wait_for("the mistakes", PATIENCE, || {
        pair.director(1).status()["director"]["configuration"]["last_error"].as_str().map(|_| ())
    });
    pair.stays("a configuration with mistakes", 1);

    pair.director(1).reload(&text(LESSER - 50, ""));
    pair.holds("a priority that is lower than the other's", 2);
    pair.director(1).reload(&text(BETTER, ""));
    pair.holds("a priority that is higher again", 1);

    pair.director(1).reload("");
    pair.holds("a director without the router", 2);
    assert_eq!(pair.director(1).status()["virtual_routers"].as_array().unwrap().len(), 0);
    pair.director(1).reload(&text(BETTER, ""));
    pair.holds("a director with the router again", 1);
}

#[test]
fn routers_of_a_group_move_together() {
    let more = |host: u8| {
        let mut router = tidegate_integration::failover::Router::new(101, SHORT);
        router.ipv6 = true;
        let priority = [BETTER, LESSER][usize::from(host) - 1];
        format!("group = \"g\"\n{}group = \"g\"", router.tidegate(host, priority))
    };
    let pair = Pair::start_with(SHORT, more);
    let v6: IpAddr = "fd77::101".parse().unwrap();
    let holds_v6 = |what: &str, host: u8| {
        wait_for(&format!("host {host} to hold IPv6 too: {what}"), PATIENCE, || {
            HOSTS.iter().all(|it| pair.lan.addresses(*it).contains(&v6) == (*it == host)).then_some(())
        });
    };
    holds_v6("they elect", 1);
    assert!(pair.director(1).command(&["failover", "g"]).status.success());
    pair.holds("an order to the group", 2);
    holds_v6("an order to the group", 2);
    pair.director(2).signal("TERM");
    pair.holds("a stop", 1);
    holds_v6("a stop", 1);
}
