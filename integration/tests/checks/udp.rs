//! UDP checks against dnsmasq, and against sockets that answer what the test wants.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tidegate_integration::dns::Dnsmasq;
use tidegate_integration::sockets::free_port;

use crate::datagrams::answering;
use crate::written::{outcome, outcome_within};

fn udp(keys: &str) -> String {
    format!("type = \"udp\"\n{keys}")
}

/// A query for the A record of `who.test` with the id 4660, and its answer, whose TTL is anything.
#[tokio::test]
async fn right_and_wrong() {
    let server = Dnsmasq::start(free_port(), Ipv4Addr::new(192, 0, 2, 7));
    let send = "send_hex = '1234 0100 0001 0000 0000 0000 03 77686f 04 74657374 00 0001 0001'";
    let ask = async |keys: &str| outcome("dnsmasq", server.address(), &udp(&format!("{send}\n{keys}"))).await;
    assert_eq!(ask("").await, "passed: 42 bytes");
    assert_eq!(ask("expect_hex = '1234 8??? * c000 0207'").await, "passed: 42 bytes");
    assert_eq!(ask("min_length = 42\nmax_length = 42").await, "passed: 42 bytes");
    let text = ask("expect_hex = '1234 8??? * c000 0208'").await;
    assert!(
        text.starts_with("wrong answer: 42 bytes that are not 12 34 8? ?? * c0 00 02 08: \"\\u{12}4"),
        "{text}"
    );
    assert!(ask("min_length = 43").await.starts_with("wrong answer: 42 bytes instead of at least 43: "));
    assert!(ask("max_length = 41").await.starts_with("wrong answer: more than 41 bytes: "));
}

#[tokio::test]
async fn texts() {
    let echo: SocketAddr = answering(|bytes| vec![bytes.to_vec()]).await;
    let keys = udp("send = \"ping 1\"\nexpect = \"p?ng*\"");
    assert_eq!(outcome("echo", echo, &keys).await, "passed: 6 bytes");
    assert_eq!(outcome("empty", echo, &udp("")).await, "passed: 0 bytes");
}

#[tokio::test]
async fn silence_and_refusal() {
    let (soon, silent) = (Duration::from_millis(300), answering(|_| Vec::new()).await);
    let text = outcome_within(soon, "silent", silent, &udp("")).await;
    assert_eq!(text, "timed out in answer: no reply within 300ms");
    let text = outcome_within(soon, "silent, icmp_only", silent, &udp("icmp_only = true")).await;
    assert_eq!(text, "passed: nothing came within 300ms, not even an error");
    for keys in ["", "icmp_only = true"] {
        assert_eq!(outcome("refused", free_port(), &udp(keys)).await, "connection refused");
    }
}
