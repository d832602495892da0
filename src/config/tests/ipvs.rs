use std::time::Duration;

use super::{refused, right, server, with, wrong};
use crate::config::{
    Checksum, Dataplane, Family, Forwarding, IpvsOnDown, IpvsOptions, Listen, OnStop, Persistence, Protocol,
    Scheduler, SchedulerFlags, SorryServer, Tunnel,
};

/// A virtual server in IPVS.
fn ipvs(keys: &str) -> String {
    with(&format!("dataplane = \"ipvs\"\n{keys}"))
}

/// In IPVS by an fwmark.
fn fwmark(keys: &str) -> String {
    ipvs(keys).replace("listen = \"192.0.2.10:80\"", "fwmark = 7")
}

/// The one mistake is the one that is expected.
fn only(text: &str, because: &str) {
    let mistakes = wrong(text);
    assert!(matches!(mistakes.as_slice(), [one] if one.contains(because)), "{text}\n{mistakes:?}");
}

fn options(text: &str) -> IpvsOptions {
    match right(text).virtual_servers[0].dataplane.clone() {
        Dataplane::Ipvs(options) => options,
        Dataplane::Proxy(_) => panic!("not IPVS"),
    }
}

fn forwarding(value: &str) -> Forwarding {
    let text = ipvs(&format!("forwarding = {value}")).replace("8080", "80");
    right(&text).virtual_servers[0].real_servers[0].forwarding
}

#[test]
fn defaults() {
    let server = &right(&ipvs("")).virtual_servers[0];
    let expected = IpvsOptions {
        one_packet: false,
        persistence_engine: None,
        on_down: IpvsOnDown::Quiesce,
        on_stop: OnStop::Keep,
    };
    assert_eq!(server.dataplane, Dataplane::Ipvs(expected));
    assert_eq!(server.scheduler, Scheduler::WeightedLeastConnection);
    assert_eq!(
        (server.real_servers[0].forwarding, server.real_servers[0].resume_below),
        (Forwarding::Nat, 0)
    );
    assert_eq!(server.checks.len(), 1);
}

#[test]
fn pools_can_be_protected() {
    let server = &right(&ipvs("overload = { mode = \"protect\" }")).virtual_servers[0];
    assert_eq!(server.overload, tidegate_engine::Mode::Protect);
}

#[test]
fn everything_written_is_read() {
    let model = right(
        r#"
[[virtual_server]]
name = "sip"
listen = ["192.0.2.10:5060", "192.0.2.11:5060"]
protocol = "udp"
dataplane = "ipvs"
scheduler = "mh"
scheduler_flags = ["fallback", "port"]
forwarding = "direct"
persistence = { timeout = "1m", prefix_v4 = 24, engine = "sip" }
sorry_server = { address = "[2001:db8::9]:5060", forwarding = "tunnel" }
one_packet = true
on_down = "remove"
on_stop = "clear"
real_server = [
    { address = "10.1.0.2:5060", max_connections = 100, resume_below = 80 },
    { address = "10.1.0.3:5060", forwarding = { tunnel = "gue", port = 6080, checksum = "remote" } },
]
"#,
    );
    let server = &model.virtual_servers[0];
    let address = |text: &str| Listen::Address { protocol: Protocol::Udp, address: text.parse().unwrap() };
    assert_eq!(server.listen, [address("192.0.2.10:5060"), address("192.0.2.11:5060")]);
    assert_eq!(server.scheduler_flags, SchedulerFlags { fallback: true, port: true });
    let persistence = Persistence { timeout: Duration::from_secs(60), prefix_v4: 24, prefix_v6: 128 };
    assert_eq!(server.persistence, Some(persistence));
    let sorry = SorryServer {
        address: "[2001:db8::9]:5060".parse().unwrap(),
        forwarding: Forwarding::Tunnel(Tunnel::Ipip),
    };
    assert_eq!(server.sorry_server, Some(sorry));
    let expected = IpvsOptions {
        one_packet: true,
        persistence_engine: Some("sip".into()),
        on_down: IpvsOnDown::Remove,
        on_stop: OnStop::Clear,
    };
    assert_eq!(server.dataplane, Dataplane::Ipvs(expected));
    let [one, two] = server.real_servers.as_slice() else { panic!() };
    assert_eq!((one.max_connections, one.resume_below, one.forwarding), (100, 80, Forwarding::Direct));
    let gue = Tunnel::Gue { port: 6080, checksum: Checksum::Remote };
    assert_eq!(two.forwarding, Forwarding::Tunnel(gue));
    assert!(server.checks.is_empty());
}

#[test]
fn what_belongs_to_one_dataplane_is_refused_by_the_other() {
    // What the proxy does may be said.
    assert_eq!(right(&with("forwarding = \"nat\"")), right(&with("")));
    refused("forwarding = { tunnel = \"gre\" }", "`forwarding` must be \"nat\", not a table");
    for keys in [
        "fwmark = 7",
        "fwmark_family = \"ipv6\"",
        "forwarding = \"direct\"",
        "one_packet = true",
        "on_stop = \"keep\"",
        "protocol = \"sctp\"",
        "on_down = \"quiesce\"",
        "persistence = { engine = \"sip\" }",
        "sorry_server = { address = \"10.1.0.3:80\", forwarding = \"direct\" }",
    ] {
        refused(keys, "belongs to dataplane \"ipvs\"");
    }
    for key in ["resume_below = 1", "forwarding = \"tunnel\""] {
        let text = with("").replace("8080\"", &format!("8080\", {key}"));
        only(&text, "belongs to dataplane \"ipvs\"");
    }
    for keys in [
        "connect_timeout = \"1s\"",
        "idle_timeout = \"1s\"",
        "proxy_protocol = \"v1\"",
        "on_down = \"keep\"",
        "on_down = \"reset\"",
    ] {
        only(&ipvs(keys), "belongs to dataplane \"proxy\"");
    }
    refused("on_down = \"remov\"", "must be one of \"keep\", \"reset\"");
    server("sorry_server = { address = \"10.1.0.3:80\" }");
}

#[test]
fn a_misspelt_dataplane_makes_no_other_mistakes() {
    refused("dataplane = \"ipsv\"\nforwarding = \"nat\"", "must be one of \"proxy\", \"ipvs\"");
    refused("dataplane = \"porxy\"\nidle_timeout = \"1s\"", "must be one of \"proxy\", \"ipvs\"");
}

#[test]
fn schedulers() {
    let both = ["rr", "wrr", "lc", "wlc", "sh", "mh"];
    for scheduler in both {
        server(&format!("scheduler = \"{scheduler}\""));
    }
    for scheduler in ["dh", "lblc", "lblcr", "sed", "nq", "fo", "ovf", "twos"] {
        let key = format!("scheduler = \"{scheduler}\"");
        refused(&key, "belongs to dataplane \"ipvs\"; \"proxy\" has \"rr\"");
        assert!(!both.contains(&scheduler));
        right(&ipvs(&key));
    }
    refused("scheduler = \"wcl\"", "must be one of");
    only(&ipvs("scheduler = \"dh\"\nscheduler_flags = [\"port\"]"), "the schedulers \"sh\" and \"mh\"");
}

#[test]
fn marks() {
    let listen = |keys: &str| right(&fwmark(keys)).virtual_servers[0].listen.clone();
    assert_eq!(listen(""), [Listen::Fwmark { mark: 7, family: Family::Ipv4 }]);
    let v6 = fwmark("fwmark_family = \"ipv6\"").replace("10.1.0.2", "[2001:db8::2]");
    assert_eq!(right(&v6).virtual_servers[0].listen, [Listen::Fwmark { mark: 7, family: Family::Ipv6 }]);
    only(&fwmark("").replace("= 7", "= 0"), "from 1 to 4294967295");
    only(&fwmark("protocol = \"tcp\""), "`protocol` does not go with `fwmark`");
    only(&ipvs("fwmark = 7"), "`listen` and `fwmark` exclude each other");
    only(&ipvs("fwmark_family = \"ipv4\""), "`fwmark_family` needs `fwmark`");
    only(&ipvs("").replace("listen = \"192.0.2.10:80\"", ""), "needs `listen` or `fwmark`");
    only(&with("fwmark = 7").replace("listen = \"192.0.2.10:80\"", ""), "belongs to dataplane \"ipvs\"");
    only(&fwmark("fwmark_family = \"ipv6\""), "of another address family than fwmark 7 of ipv6");
}

#[test]
fn port_0_takes_a_mark_and_a_check_that_knows_its_port() {
    let zero = |keys: &str| fwmark(keys).replace("8080", "0");
    right(&fwmark("forwarding = \"direct\""));
    right(&zero("check.type = \"none\""));
    right(&zero("check = { type = \"tcp\", port = 80 }"));
    right(&zero("check = { type = \"tcp\", connect_to = \"10.1.0.2:80\" }"));
    right(&format!("defaults.check.port = 80\n{}", zero("sorry_server = \"10.1.0.9:0\"")));
    only(&zero(""), "10.1.0.2:0 has no port of its own: the check \"tcp\" needs `port` or `connect_to`");
    only(&zero("check = [{ type = \"tcp\", port = 80 }, { type = \"http\" }]"), "the check \"http\" needs");
    only(&ipvs("").replace("8080", "0"), "must have a port from 1 to 65535: 10.1.0.2:0");
    only(&ipvs("sorry_server = \"10.1.0.9:0\""), "must have a port");
}

#[test]
fn all_ports_need_persistence() {
    let all = |keys: &str| ipvs(keys).replace("10:80", "10:0").replace("8080", "0");
    let check = "check = { type = \"tcp\", port = 80 }";
    right(&all(&format!("persistence = \"60s\"\n{check}")));
    only(&all(check), "port 0, which is all ports, needs `persistence`");
    let rewritten = ipvs(&format!("persistence = \"60s\"\n{check}")).replace("10:80", "10:0");
    only(&rewritten, "10.1.0.2:8080 needs port 0 as 192.0.2.10:0 has it");
    only(&with("persistence = \"60s\"").replace("10:80", "10:0"), "must have a port from 1 to 65535");
}

#[test]
fn forwardings() {
    assert_eq!(forwarding("\"nat\""), Forwarding::Nat);
    assert_eq!(forwarding("\"direct\""), Forwarding::Direct);
    for (value, tunnel) in [
        ("\"tunnel\"", Tunnel::Ipip),
        ("{ tunnel = \"ipip\" }", Tunnel::Ipip),
        ("{ tunnel = \"gre\" }", Tunnel::Gre { checksum: Checksum::None }),
        ("{ tunnel = \"gre\", checksum = \"sum\" }", Tunnel::Gre { checksum: Checksum::Sum }),
        ("{ tunnel = \"gue\", port = 6080 }", Tunnel::Gue { port: 6080, checksum: Checksum::None }),
    ] {
        assert_eq!(forwarding(value), Forwarding::Tunnel(tunnel));
    }
    for (value, because) in [
        ("\"dr\"", "must be one of \"nat\", \"direct\", \"tunnel\""),
        ("1", "must be one of \"nat\""),
        ("{}", "needs `tunnel`"),
        ("{ tunnel = \"gue\" }", "needs `port`"),
        ("{ tunnel = \"gue\", port = 0 }", "from 1 to 65535"),
        ("{ tunnel = \"gre\", port = 6080 }", "`port` belongs to tunnel \"gue\""),
        ("{ tunnel = \"ipip\", port = 6080 }", "`port` belongs to tunnel \"gue\""),
        ("{ tunnel = \"ipip\", checksum = \"none\" }", "`checksum` belongs to the tunnels"),
        ("{ tunnel = \"gre\", checksum = \"remote\" }", "\"remote\" belongs to tunnel \"gue\""),
        ("{ tunnel = \"geu\", port = 6080, checksum = \"sum\" }", "not the string \"geu\""),
        ("{ tunnel = \"ipip\", ttl = 1 }", "unknown key \"ttl\""),
    ] {
        only(&ipvs(&format!("forwarding = {value}")).replace("8080", "80"), because);
    }
}

#[test]
fn ports_are_rewritten_by_nat_only() {
    right(&ipvs(""));
    for forwarding in ["\"direct\"", "\"tunnel\""] {
        let text = ipvs(&format!("forwarding = {forwarding}"));
        only(&text, "real server 10.1.0.2:8080 needs port 80 as 192.0.2.10:80 has it");
        right(&text.replace("8080", "80"));
    }
    only(&ipvs("forwarding = \"direct\""), "forwarding \"direct\" does not rewrite ports");
    let two = ipvs("forwarding = \"direct\"").replace("8080", "80");
    only(&two.replace("\"192.0.2.10:80\"", "[\"192.0.2.10:80\", \"192.0.2.10:81\"]"), "needs port 81");
    let sorry = "forwarding = \"direct\"\nsorry_server = { address = \"10.1.0.9:81\", forwarding = \"nat\" }";
    right(&ipvs(sorry).replace("8080", "80"));
    only(
        &ipvs(&sorry.replace("\"nat\"", "\"tunnel\"")).replace("8080", "80"),
        "sorry server 10.1.0.9:81 needs port 80 as 192.0.2.10:80 has it",
    );
}

#[test]
fn only_a_tunnel_leads_to_the_other_family() {
    let v6 = |keys: &str| ipvs(keys).replace("10.1.0.2:8080", "[2001:db8::2]:80");
    right(&v6("forwarding = \"tunnel\""));
    only(&v6(""), "real server [2001:db8::2]:80 is of another address family than 192.0.2.10:80");
    only(&v6("forwarding = \"direct\""), "only forwarding \"tunnel\" leads there");
    only(&ipvs("sorry_server = \"[2001:db8::2]:80\""), "sorry server [2001:db8::2]:80 is of another");
    right(&with("").replace("10.1.0.2", "[2001:db8::2]"));
}

#[test]
fn one_packet_and_the_sip_engine_are_for_udp() {
    let udp = |keys: &str| ipvs(&format!("protocol = \"udp\"\n{keys}"));
    let sip = "persistence = { engine = \"sip\" }";
    assert!(options(&udp("one_packet = true")).one_packet);
    assert!(options(&fwmark("one_packet = true")).one_packet);
    only(&ipvs("one_packet = true"), "`one_packet` needs protocol \"udp\" or `fwmark`");
    assert_eq!(options(&udp(sip)).persistence_engine.as_deref(), Some("sip"));
    only(&ipvs(sip), "`engine` needs protocol \"udp\"");
    only(&udp("persistence = { engine = \"ftp\" }"), "must be \"sip\"");
}

#[test]
fn persistence_counts_in_seconds() {
    only(&ipvs("persistence = \"1.5s\""), "must be whole seconds with dataplane \"ipvs\", not 1.5s");
    only(&ipvs("persistence = { timeout = \"1500ms\" }"), "must be whole seconds");
    server("persistence = \"1.5s\"");
}

#[test]
fn thresholds() {
    let limits = |keys: &str| ipvs("").replace("8080\"", &format!("8080\", {keys}"));
    right(&limits("max_connections = 10, resume_below = 9"));
    only(&limits("resume_below = 9"), "`resume_below` needs `max_connections`");
    only(&limits("max_connections = 10, resume_below = 10"), "less than `max_connections`, which is 10");
}

#[test]
fn sctp_is_not_checked_by_itself() {
    let server = &right(&ipvs("protocol = \"sctp\"")).virtual_servers[0];
    assert!(matches!(server.listen[0], Listen::Address { protocol: Protocol::Sctp, .. }));
    assert!(server.checks.is_empty());
}

#[test]
fn the_kernel_has_no_wildcards() {
    only(&ipvs("").replace("192.0.2.10:80", "0.0.0.0:80"), "IPVS takes in single addresses");
    only(
        &ipvs("").replace("192.0.2.10:80", "[::]:80").replace("10.1.0.2", "[2001:db8::2]"),
        "IPVS takes in single addresses",
    );
}

#[test]
fn nothing_is_taken_in_twice() {
    let other = |text: String| text.replace("\"web\"", "\"other\"");
    only(&(with("") + &other(ipvs(""))), "virtual server \"web\" listens on 192.0.2.10:80 already");
    right(&(ipvs("") + &other(ipvs("protocol = \"udp\""))));
    only(&(fwmark("") + &other(fwmark(""))), "virtual server \"web\" has fwmark 7 already");
    let v6 = fwmark("fwmark_family = \"ipv6\"").replace("10.1.0.2", "[2001:db8::2]");
    right(&(fwmark("") + &other(v6)));
    only(
        &(with("").replace("192.0.2.10:80", "0.0.0.0:80") + &other(ipvs(""))),
        "192.0.2.10:80 is part of 0.0.0.0:80",
    );
    let all_ports =
        ipvs("persistence = \"60s\"\ncheck.type = \"none\"").replace("10:80", "10:0").replace("8080", "0");
    right(&(all_ports.clone() + &other(ipvs(""))));
    only(
        &(all_ports + &other(with(""))),
        "192.0.2.10:80 is part of all ports of this address, which virtual server \"web\" takes in",
    );
}

#[test]
fn loops() {
    only(
        &ipvs("sorry_server = \"192.0.2.10:80\""),
        "sorry server 192.0.2.10:80 is the virtual server itself",
    );
    only(&ipvs("sorry_server = { address = \"10.1.0.2:8080\" }"), "one of the real servers");
}

#[test]
fn what_is_missing_is_not_guessed_where_the_text_is_broken() {
    let text = ipvs("x = y").replace("10:80", "10:0").replace("8080\"", "0\", resume_below = 1");
    assert_eq!(wrong(&text).len(), 1, "{:?}", wrong(&text));
}

#[test]
fn the_kernels_own_settings() {
    let text = format!(
        "[director.ipvs]\ntimeouts = {{ tcp = \"15m\", udp = \"30s\" }}\n\
         [[director.ipvs.sync]]\nrole = \"active\"\ninterface = \"eth0\"\nsync_id = 51\n\
         [[director.ipvs.sync]]\nrole = \"backup\"\ninterface = \"eth0\"\ngroup = \"ff02::81\"\nttl = 3\n{}",
        ipvs("")
    );
    let settings = right(&text).director.ipvs;
    assert_eq!(settings.timeouts.to_string(), "tcp 900s, udp 30s");
    let sync: Vec<_> = settings.sync.iter().map(ToString::to_string).collect();
    assert_eq!(sync, ["active on eth0 id 51", "backup on eth0 id 0 group ff02::81 ttl 3"]);

    for (written, mistaken, message) in [
        ("\"15m\"", "\"1.5s\"", "must be whole seconds"),
        ("\"backup\"", "\"active\"", "one synchronisation daemon of each role"),
        ("\"backup\"", "\"master\"", "must be one of \"active\", \"backup\""),
        ("ff02::81", "10.0.0.1", "must be a multicast address"),
        ("sync_id = 51", "sync_id = 256", "from 0 to 255"),
        ("role = \"backup\"\n", "", "needs `role`"),
    ] {
        only(&text.replace(written, mistaken), message);
    }
}
