use super::*;
use crate::io::keeper::tests::holding;

fn holdings(routers: &[(&str, Holding)]) -> Holdings {
    routers.iter().map(|(name, holding)| (Arc::from(*name), Arc::new(holding.clone()))).collect()
}

fn names(objects: &BTreeMap<Object, Arc<str>>) -> Vec<String> {
    objects.keys().map(ToString::to_string).collect()
}

#[test]
fn what_two_routers_hold_stays_until_both_have_let_go() {
    let shared = holding(&["192.0.2.1/24"]);
    let mut ledger = Ledger::default();
    ledger.configure(holdings(&[("a", shared.clone()), ("b", shared)]));
    assert_eq!(names(&ledger.unwanted()), ["address 192.0.2.1/24 on eth0"]);
    ledger.hold(&"a".into());
    ledger.hold(&"b".into());
    ledger.release("a");
    assert_eq!(names(&ledger.wanted()), ["address 192.0.2.1/24 on eth0"]);
    assert!(ledger.unwanted().is_empty());
    ledger.release("b");
    assert!(ledger.wanted().is_empty());
}

#[test]
fn an_owners_addresses_are_neither_wanted_nor_unwanted() {
    let mut ledger = Ledger::default();
    let owner = Holding { owner: true, ..holding(&["192.0.2.1/24"]) };
    ledger.configure(holdings(&[("a", owner), ("b", holding(&["192.0.2.1/24"]))]));
    ledger.hold(&"a".into());
    assert!(ledger.wanted().is_empty() && ledger.unwanted().is_empty());
}

#[test]
fn a_router_that_is_gone_holds_until_it_is_released_and_another_is_another() {
    let mut ledger = Ledger::default();
    ledger.configure(holdings(&[("a", holding(&["192.0.2.1/24"])), ("b", holding(&["192.0.2.2/24"]))]));
    ledger.hold(&"a".into());
    ledger.hold(&"b".into());
    let moved = Holding { interface: "eth1".into(), ..holding(&["192.0.2.2/24"]) };
    let followed = ledger.configure(holdings(&[("b", moved)]));
    assert!(followed.is_empty());
    assert_eq!(names(&ledger.wanted()), ["address 192.0.2.1/24 on eth0", "address 192.0.2.2/24 on eth0"]);
    assert_eq!(names(&ledger.unwanted()), ["address 192.0.2.2/24 on eth1"]);
    let is_virtual = |ledger: &Ledger| {
        let places = [("eth0", "192.0.2.1"), ("eth0", "192.0.2.2"), ("eth1", "192.0.2.2")];
        places.map(|(interface, address)| ledger.find(interface, address.parse().unwrap()).is_some())
    };
    assert_eq!(is_virtual(&ledger), [true, true, true]);
    assert!(ledger.release("a").is_some() && ledger.hold(&"b".into()).is_some());
    assert_eq!(is_virtual(&ledger), [false, false, true]);
    assert_eq!(names(&ledger.wanted()), ["address 192.0.2.2/24 on eth1"]);
}
