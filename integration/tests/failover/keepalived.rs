//! Beside a real keepalived, in both roles: every version, family and kind of peers at once, each in a virtual router
//! of its own.

use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::failover::{Program, Router, held, wait_for_holder};
use tidegate_integration::namespace::Lan;

use super::{HOSTS, PATIENCE};

fn routers() -> Vec<Router> {
    let second = Duration::from_secs(1);
    let v2 = |id| Router { version: 2, ..Router::new(id, second) };
    let v3 = |id| Router::new(id, second / 5);
    let hosts = HOSTS.to_vec();
    vec![
        v2(101),
        Router { hosts: hosts.clone(), ..v2(102) },
        Router { password: Some("secret"), ..v2(103) },
        v3(104),
        Router { hosts: hosts.clone(), ..v3(105) },
        Router { ipv6: true, ..v3(106) },
        Router { ipv6: true, hosts: hosts.clone(), ..v3(107) },
        Router { ipv6: true, hosts, min_ttl: Some(64), ..v3(108) },
    ]
}

/// Host 1 has the higher priority.
fn elect_and_take_over(better: Program, lesser: Program) {
    let (lan, routers) = (Lan::new(2), routers());
    let holds = |what, host| wait_for_holder(what, &lan, &HOSTS, &routers, host, PATIENCE);
    // While the better one cannot hear that it has lost them.
    let takes_over = |what| wait_for_holder(what, &lan, &[2], &routers, 2, PATIENCE);

    let other = lesser.start(&lan, 2, &routers, 100);
    holds("alone", 2);
    let one = better.start(&lan, 1, &routers, 150);
    holds("the better one takes back", 1);

    lan.set_link(1, false);
    lan.kill_all(1);
    drop(one);
    takes_over("the better one has died");
    lan.set_link(1, true);
    let one = better.start(&lan, 1, &routers, 150);
    holds("the better one is back", 1);

    lan.set_link(1, false);
    takes_over("the better one has lost its link");
    lan.set_link(1, true);
    holds("its link is back", 1);

    lan.set_attached(1, false);
    takes_over("the better one is alone");
    assert_eq!(held(&lan, 1, &routers).len(), routers.len(), "each is on its own");
    lan.set_attached(1, true);
    holds("both hear each other", 1);

    one.stop();
    holds("the better one has stopped", 2);
    let _one = better.start(&lan, 1, &routers, 150);
    holds("the better one is started again", 1);
    other.stop();
    holds("the lesser one has stopped", 1);
}

/// Host 2 has the higher addresses.
fn the_higher_address_wins(programs: [Program; 2]) {
    let (lan, routers) = (Lan::new(2), routers());
    let _directors = HOSTS.map(|host| programs[usize::from(host) - 1].start(&lan, host, &routers, 100));
    let held = || HOSTS.map(|host| held(&lan, host, &routers).len());
    wait_for("an election", PATIENCE, || (held().iter().sum::<usize>() == routers.len()).then_some(()));
    lan.set_attached(1, false);
    wait_for("each to be on its own", PATIENCE, || (held() == [routers.len(); 2]).then_some(()));
    lan.set_attached(1, true);
    wait_for_holder("they hear each other", &lan, &HOSTS, &routers, 2, PATIENCE);
}

/// At the same time: most of it is waiting.
fn in_both_roles(scenario: impl Fn([Program; 2]) + Copy + Send) {
    let (ours, theirs) = (Program::Tidegate, Program::Keepalived);
    std::thread::scope(|scope| {
        for programs in [[ours, theirs], [theirs, ours]] {
            scope.spawn(move || scenario(programs));
        }
    });
}

#[test]
fn both_take_over_from_each_other_and_give_back() {
    in_both_roles(|[better, lesser]| elect_and_take_over(better, lesser));
}

#[test]
fn the_higher_address_wins_among_equals() {
    in_both_roles(the_higher_address_wins);
}
