use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn resignation() -> impl Strategy<Value = Resignation> {
    (any::<u32>(), any::<IpAddr>(), any::<IpAddr>(), vec(any::<u8>(), 0..100))
        .prop_map(|(index, source, destination, message)| Resignation { index, source, destination, message })
}

fn plan() -> impl Strategy<Value = Plan> {
    (vec(resignation(), 0..4), vec(any::<u8>(), 0..100), vec(any::<u8>(), 0..100))
        .prop_map(|(resignations, requests, netfilter)| Plan { resignations, requests, netfilter })
}

proptest! {
    #[test]
    fn what_is_told_is_understood(router in ".*", plan in plan()) {
        for message in [Message::Put(&router, plan), Message::Forget(&router), Message::Farewell] {
            let datagram = message.encode().unwrap();
            prop_assert_eq!(Message::decode(&datagram), Some(message));
            for cut in 0..datagram.len() {
                prop_assert_eq!(Message::decode(&datagram[..cut]), None);
            }
        }
    }

    #[test]
    fn anything_else_is_refused_or_read(mut datagram in vec(any::<u8>(), 0..200), kind in 0_u8..5) {
        if let Some(first) = datagram.first_mut() {
            *first = kind;
        }
        if let Some(message) = Message::decode(&datagram) {
            prop_assert_eq!(message.encode().unwrap(), datagram);
        }
    }
}

#[test]
fn what_is_too_long_is_refused_where_it_is_said() {
    let plan = Plan { requests: vec![0; LONGEST], ..Plan::default() };
    assert!(Message::Put("front", plan).encode().is_err());
}
