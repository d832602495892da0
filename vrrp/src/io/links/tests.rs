use super::*;

const UP: u32 = (libc::IFF_UP | libc::IFF_RUNNING) as u32;

fn links(addresses: &[(&str, u32)]) -> Links {
    let mut links = Links::default();
    links.apply(Notice::Link { index: 2, name: "eth0".into(), flags: UP, mac: Some([2; 6]) });
    for (address, flags) in addresses {
        let address = address.parse().unwrap();
        links.apply(Notice::Address { index: 2, address, prefix: 24, flags: *flags });
    }
    links
}

#[test]
fn sources_are_own_addresses_the_best_first() {
    let links = links(&[
        ("192.0.2.10", libc::IFA_F_SECONDARY),
        ("192.0.2.1", libc::IFA_F_PERMANENT),
        ("192.0.2.100", 0),
        ("2001:db8::1", 0),
        ("fe80::2", libc::IFA_F_TENTATIVE),
        ("fe80::1", 0),
    ]);
    let sources = links.named("eth0").unwrap().sources(|address| address.to_string() == "192.0.2.100");
    let expected = ["192.0.2.1", "fe80::1", "192.0.2.10"];
    assert_eq!(sources, expected.map(|address| address.parse::<IpAddr>().unwrap()));
}

#[test]
fn a_link_that_changes_keeps_its_addresses_and_one_that_goes_does_not() {
    let mut links = links(&[("192.0.2.1", 0), ("192.0.2.1", 0)]);
    links.apply(Notice::Link { index: 2, name: "lan".into(), flags: 0, mac: Some([2; 6]) });
    let renamed = links.named("lan").unwrap();
    assert!(!renamed.up && renamed.addresses.len() == 1 && links.named("eth0").is_none(), "{links:?}");
    links.apply(Notice::LinkGone { index: 2 });
    links.apply(Notice::Address { index: 2, address: [192, 0, 2, 1].into(), prefix: 24, flags: 0 });
    assert!(links.named("lan").is_none());
}

#[test]
fn a_link_without_ethernet_addresses_has_none() {
    let mut links = Links::default();
    let flags = UP | libc::IFF_LOOPBACK as u32;
    links.apply(Notice::Link { index: 1, name: "lo".into(), flags, mac: Some([0; 6]) });
    assert_eq!(links.named("lo").unwrap().mac, None);
}

#[test]
fn the_prefix_is_the_one_that_is_asked_for_if_it_is_there() {
    let mut links = links(&[("192.0.2.1", 0)]);
    let address = [192, 0, 2, 1].into();
    assert_eq!(links.named("eth0").unwrap().prefix(address, 32), Some(24));
    links.apply(Notice::Address { index: 2, address, prefix: 32, flags: 0 });
    assert_eq!(links.named("eth0").unwrap().prefix(address, 32), Some(32));
    links.apply(Notice::AddressGone { index: 2, address, prefix: 24 });
    links.apply(Notice::AddressGone { index: 2, address, prefix: 32 });
    assert_eq!(links.named("eth0").unwrap().prefix(address, 32), None);
}
