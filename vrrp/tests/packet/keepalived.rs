//! Adverts of keepalived 2.2.7 as tcpdump saw them on another host: read, and written the same.

use std::net::IpAddr;
use std::time::Duration;

use tidegate_vrrp::Received;
use tidegate_vrrp::config::{Checksum, Version};
use tidegate_vrrp::packet::{Advert, decode, encode};

const LINK_LOCAL: &str = "fe80::a05b:7cff:fec0:c7ec";

/// The message, where it came from and went to, and what it says.
fn check(hex: &str, [source, destination]: [&str; 2], advert: &Advert) {
    let message: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let (source, destination): (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
    let mut padded = message.clone();
    for padding in [0, 1, 14] {
        padded.resize(message.len() + padding, 0xaa);
        let received = Received { interface: "eth0", source, destination, ttl: 255, message: &padded };
        assert_eq!(decode(advert.version, &received).as_ref(), Ok(advert));
    }
    let mut written = Vec::new();
    encode(advert, Checksum::PseudoHeader, source, destination, &mut written);
    assert_eq!(written, message);
}

fn advert(version: Version, router_id: u8, priority: u8, milliseconds: u64, addresses: &[&str]) -> Advert {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let interval = Duration::from_millis(milliseconds);
    Advert { version, router_id, priority, interval, addresses, authentication: None }
}

#[test]
fn version_2() {
    let way = ["192.0.2.1", "224.0.0.18"];
    let addresses = ["192.0.2.10", "192.0.2.11"];
    let hex = "211564020001f6d0c000020ac000020b0000000000000000";
    check(hex, way, &advert(Version::V2, 21, 100, 1000, &addresses));
    let hex = "2115000200015ad1c000020ac000020b0000000000000000";
    check(hex, way, &advert(Version::V2, 21, 0, 1000, &addresses));
}

#[test]
fn version_2_with_a_password() {
    let way = ["192.0.2.1", "224.0.0.18"];
    let authentication = Some(*b"s3cret\0\0");
    let expected = Advert { authentication, ..advert(Version::V2, 22, 150, 2000, &["192.0.2.12"]) };
    check("21169601010249bfc000020c7333637265740000", way, &expected);
    check("211600010102dfbfc000020c7333637265740000", way, &Advert { priority: 0, ..expected });
}

#[test]
fn version_3_over_ipv4() {
    let way = ["192.0.2.1", "224.0.0.18"];
    let addresses = ["192.0.2.13", "192.0.2.14"];
    check("311fc8020032dffac000020dc000020e", way, &advert(Version::V3, 31, 200, 500, &addresses));
    check("311f00020032a7fbc000020dc000020e", way, &advert(Version::V3, 31, 0, 500, &addresses));
}

#[test]
fn version_3_over_ipv4_to_a_peer() {
    let way = ["192.0.2.1", "192.0.2.2"];
    check("3120fe01006489e9c000020f", way, &advert(Version::V3, 32, 254, 1000, &["192.0.2.15"]));
    check("31200001006487eac000020f", way, &advert(Version::V3, 32, 0, 1000, &["192.0.2.15"]));
}

#[test]
fn version_3_over_ipv6() {
    let way = [LINK_LOCAL, "ff02::12"];
    let addresses = ["fe80::10", "2001:db8::10"];
    let hex = "313d640200015c2efe80000000000000000000000000001020010db8000000000000000000000010";
    check(hex, way, &advert(Version::V3, 61, 100, 10, &addresses));
    let hex = "313d00020001c02efe80000000000000000000000000001020010db8000000000000000000000010";
    check(hex, way, &advert(Version::V3, 61, 0, 10, &addresses));
}
