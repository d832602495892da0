//! Checks of the types udp, ping and ntp.

use std::time::Duration;

use tidegate_checkers::{NtpSpec, PingSpec, Spec, UdpPattern, UdpSpec};

use super::{refused, right, server};

fn spec(keys: &str) -> Spec {
    (*server(&format!("[virtual_server.check]\n{keys}")).checks[0].spec).clone()
}

#[test]
fn what_is_not_written() {
    let udp =
        UdpSpec { payload: Vec::new(), expected: None, min_length: 0, max_length: 4096, icmp_only: false };
    assert_eq!(spec("type = \"udp\""), Spec::Udp(Box::new(udp)));
    assert_eq!(spec("type = \"ping\""), Spec::Ping(PingSpec { size: 56 }));
    assert_eq!(spec("type = \"ntp\""), Spec::Ntp(NtpSpec { max_stratum: 15, max_offset: None }));
}

#[test]
fn what_is_written() {
    let udp = UdpSpec {
        payload: vec![0, 255],
        expected: Some(UdpPattern::text("p?ng*").unwrap()),
        min_length: 4,
        max_length: 8,
        icmp_only: true,
    };
    let keys = "send_hex = \"00 ff\"\nexpect = \"p?ng*\"\nmin_length = 4\nmax_length = 8\nicmp_only = true";
    assert_eq!(spec(&format!("type = \"udp\"\n{keys}")), Spec::Udp(Box::new(udp)));
    assert_eq!(spec("type = \"ping\"\nsize = 1000"), Spec::Ping(PingSpec { size: 1000 }));
    let ntp = NtpSpec { max_stratum: 3, max_offset: Some(Duration::from_millis(100)) };
    assert_eq!(spec("type = \"ntp\"\nmax_stratum = 3\nmax_offset = \"100ms\""), Spec::Ntp(ntp));
}

#[test]
fn mistakes() {
    for (keys, because) in [
        ("type = \"udp\"\nsend = \"a\"\nsend_hex = \"00\"", "exclude each other"),
        ("type = \"udp\"\nsend_hex = \"0?\"", "what is sent has no wildcards"),
        ("type = \"udp\"\nexpect_hex = \"0\"", "`expect_hex` cannot be \"0\": a digit after '0' is missing"),
        ("type = \"udp\"\nmin_length = 2\nmax_length = 1", "min_length 2 is more than max_length 1"),
        ("type = \"ping\"\nsize = 7", "from 8 to"),
        ("type = \"ntp\"\nmax_stratum = 16", "from 1 to 15"),
        ("type = \"ping\"\nmax_stratum = 1", "belongs to checks of type \"ntp\""),
    ] {
        refused(&format!("[virtual_server.check]\n{keys}"), because);
    }
}

/// A host can be asked without a port.
#[test]
fn a_ping_needs_no_port() {
    right(
        "[[virtual_server]]\nname = \"all\"\nfwmark = 7\ndataplane = \"ipvs\"\ncheck.type = \"ping\"\nreal_server = \
         [{ address = \"10.1.0.2:0\" }]\n",
    );
}
