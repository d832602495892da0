use std::net::{IpAddr, Ipv4Addr};

use super::Announcer;
use crate::io::clock;
use crate::io::links::Links;
use crate::io::namespace::Host;
use crate::io::netlink::Notice;

/// More than a socket's buffer takes.
const MANY: u32 = 2000;

#[test]
fn a_link_that_takes_nothing_is_not_waited_for_and_keeps_no_other_back() {
    let [host, _peer] = Host::pair();
    host.add_slow_link();

    let mut links = Links::default();
    for name in ["eth0", "slow0"] {
        let (index, flags) = (host.index(name).get(), (libc::IFF_UP | libc::IFF_RUNNING) as u32);
        links.apply(Notice::Link { index, name: name.into(), flags, mac: Some([2, 0, 0, 0, 0, 1]) });
    }
    host.run(move || {
        let mut announcer = Announcer::default();
        let start = clock::now();
        let address = |number| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number));
        let outcomes = (0..MANY).map(|number| announcer.announce(&links, "slow0", address(number)));
        let failures = outcomes.filter(Result::is_err).count();
        println!("{failures} of {MANY} not sent in {:?}", clock::now() - start);
        assert!(failures > 100, "the link is full");
        assert!(clock::now() - start < super::PATIENCE * 500, "it was waited for once");
        announcer.announce(&links, "eth0", address(1)).expect("another link takes it");
    });
}
