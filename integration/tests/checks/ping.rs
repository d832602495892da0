//! Ping checks: the kernel answers.

use std::time::Duration;

use crate::network::{ip, is_child, nobody_around};
use crate::written::{outcome, outcome_within};

const PING: &str = "type = \"ping\"";

/// A new network namespace lets no group do so.
fn let_groups_ping() {
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").unwrap();
}

/// By a raw socket, which also hears what others are sent, and by the one that needs no privilege.
#[tokio::test]
async fn right() {
    if !is_child(&["unshare", "--map-root-user", "--net"], "ping::right") {
        return;
    }
    ip("link set lo up");
    for raw in [true, false] {
        if !raw {
            let_groups_ping();
        }
        for address in ["127.0.0.1:0", "127.0.0.1:80", "[::1]:80"] {
            for keys in [PING, "type = \"ping\"\nsize = 8000", "type = \"ping\"\nsize = 8"] {
                assert_eq!(outcome("right", address.parse().unwrap(), keys).await, "passed");
            }
        }
    }
}

#[tokio::test]
async fn silent_and_unreachable() {
    if !is_child(&["unshare", "--map-root-user", "--net"], "ping::silent_and_unreachable") {
        return;
    }
    nobody_around();
    std::fs::write("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1").unwrap();
    for raw in [true, false] {
        if !raw {
            let_groups_ping();
        }
        let local = "127.0.0.1:0".parse().unwrap();
        let text = outcome_within(Duration::from_millis(300), "silent", local, PING).await;
        // A raw socket hears our own request on the loopback interface.
        let ours = "wrong answer: ICMP type 8 code 0 instead of an echo; nothing else came within 300ms";
        assert!(text == "timed out in answer: no echo within 300ms" || text == ours, "{text}");
        // Nobody answers ARP.
        let text = outcome("unreachable", "192.0.2.2:80".parse().unwrap(), PING).await;
        assert_eq!(text, "unreachable: No route to host (os error 113)");
        let text = outcome("no route", "198.51.100.1:80".parse().unwrap(), PING).await;
        assert!(text.starts_with("not run: no route of ours to 198.51.100.1:0"), "{text}");
    }
    // The same for a datagram over UDP.
    let text = outcome("unreachable", "192.0.2.2:53".parse().unwrap(), "type = \"udp\"").await;
    assert_eq!(text, "unreachable: No route to host (os error 113)");
}

#[tokio::test]
async fn without_privilege() {
    if is_child(&["unshare", "--user", "--map-user=1", "--net"], "ping::without_privilege") {
        let text = outcome("no privilege", "127.0.0.1:0".parse().unwrap(), PING).await;
        assert_eq!(
            text,
            "not run: cannot open a raw socket: Operation not permitted (os error 1); CAP_NET_RAW is needed, or a \
             group of ours in net.ipv4.ping_group_range"
        );
    }
}
