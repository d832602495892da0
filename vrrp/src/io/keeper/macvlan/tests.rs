use std::sync::Arc;

use super::*;
use crate::holding::HeldAddress;

fn macvlan(parent: &str, router_id: u8, address: &str) -> Macvlan {
    let address = HeldAddress { address: address.parse().unwrap(), prefix: 32, interface: None };
    Macvlan::of(&Holding {
        interface: Arc::from(parent),
        router_id,
        addresses: vec![address],
        routes: Vec::new(),
        rules: Vec::new(),
        virtual_mac: true,
        accept: true,
        owner: false,
        announcements: 5,
    })
    .unwrap()
}

#[test]
fn each_router_of_each_interface_has_a_name_of_its_own_that_fits() {
    let names = [
        ("eth0", 51, "192.0.2.1"),
        ("eth0", 51, "2001:db8::1"),
        ("eth1", 51, "192.0.2.1"),
        ("enp129s0f0np0", 255, "192.0.2.1"),
        ("enp129s0f1np1", 255, "192.0.2.1"),
        ("bond0.1234", 255, "192.0.2.1"),
    ]
    .map(|(parent, router_id, address)| macvlan(parent, router_id, address).name);
    assert_eq!(
        names[..3].iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        ["vrrp4.51-eth0", "vrrp6.51-eth0", "vrrp4.51-eth1"]
    );
    for (place, name) in names.iter().enumerate() {
        assert!(name.len() <= 15, "{name}");
        assert!(!names[..place].contains(name), "{names:?}");
    }
}

#[test]
fn the_mac_address_says_family_and_router() {
    assert_eq!(macvlan("eth0", 51, "192.0.2.1").mac, [0, 0, 0x5e, 0, 1, 51]);
    assert_eq!(macvlan("eth0", 51, "2001:db8::1").mac, [0, 0, 0x5e, 0, 2, 51]);
}
