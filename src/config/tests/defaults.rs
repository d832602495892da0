use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_checkers::{Body, HttpSpec, HttpVersion, Spec, StatusRange, TlsSpec};
use tidegate_engine::Initially;

use super::{right, server, with};
use crate::config::{
    Dataplane, Forwarding, Listen, LogFormat, LogLevel, OnDown, Persistence, Protocol, ProxyOptions,
    ProxyProtocol, Scheduler, SchedulerFlags, SorryServer, VirtualServer,
};

fn http(spec: &Arc<Spec>) -> &HttpSpec {
    match &**spec {
        Spec::Http(http) => http,
        other => panic!("not HTTP: {other:?}"),
    }
}

fn proxy(server: &VirtualServer) -> &ProxyOptions {
    match &server.dataplane {
        Dataplane::Proxy(options) => options,
        Dataplane::Ipvs(_) => panic!("not the proxy"),
    }
}

#[test]
fn of_the_director() {
    let director = right("").director;
    assert!(!director.id.is_empty());
    assert_eq!(director.control_socket, PathBuf::from("/run/tidegate/control.sock"));
    assert_eq!(director.control_group, None);
    assert_eq!(director.shutdown_grace, Duration::from_secs(30));
    assert_eq!(director.resync_interval, Duration::from_secs(10));
    assert_eq!(director.proxy_threads, None);
    assert_eq!((director.max_concurrent_checks, director.max_concurrent_scripts), (10_000, 32));
    assert_eq!((director.log.format, director.log.level), (LogFormat::Text, LogLevel::Info));
}

#[test]
fn of_a_virtual_server() {
    let server = server("");
    let listen = Listen::Address { protocol: Protocol::Tcp, address: "192.0.2.10:80".parse().unwrap() };
    assert_eq!(server.listen, [listen]);
    assert_eq!(server.scheduler, Scheduler::WeightedLeastConnection);
    assert_eq!(server.scheduler_flags, SchedulerFlags::default());
    assert_eq!(server.persistence, None);
    assert_eq!((server.quorum, server.hysteresis), (1, 0));
    assert_eq!(server.sorry_server, None);
    assert_eq!(server.slow_start, Duration::ZERO);
    assert_eq!(server.overload, tidegate_engine::Mode::Protect);
    let expected = ProxyOptions {
        on_down: OnDown::Keep,
        connect_timeout: Duration::from_secs(3),
        idle_timeout: Duration::from_secs(600),
        proxy_protocol: None,
    };
    assert_eq!(proxy(&server), &expected);
    let real_server = server.real_servers[0];
    assert_eq!((real_server.weight, real_server.max_connections, real_server.resume_below), (1, 0, 0));
    assert_eq!(real_server.forwarding, Forwarding::Nat);
}

#[test]
fn of_a_check() {
    let checks = &server("").checks;
    assert_eq!(checks.len(), 1);
    let check = &checks[0];
    assert_eq!((&*check.name, &*check.spec), ("tcp", &Spec::Tcp));
    assert_eq!((check.interval, check.timeout), (Duration::from_secs(2), Duration::from_secs(1)));
    assert_eq!((check.rise, check.fall), (2, 3));
    assert_eq!(check.initially, Initially::Down);
    assert!(!check.only_admission);
    assert_eq!((check.port, check.connect_to, check.bind, check.fwmark), (None, None, None, None));
}

#[test]
fn of_an_https_check() {
    let server = server("check.type = \"https\"");
    let expected = HttpSpec {
        tls: Some(TlsSpec::default()),
        version: HttpVersion::Http11,
        tunnel: None,
        method: "GET".into(),
        path: "/".into(),
        host: None,
        headers: Vec::new(),
        status: vec![StatusRange { first: 200, last: 299 }],
        body: None,
        max_body: 65_536,
    };
    assert_eq!(http(&server.checks[0].spec), &expected);
}

#[test]
fn udp_is_not_checked_and_idles_for_less() {
    let server = server("protocol = \"udp\"");
    assert!(server.checks.is_empty());
    assert_eq!(proxy(&server).idle_timeout, Duration::from_secs(30));
}

#[test]
fn type_none_checks_nothing() {
    assert!(server("check = { type = \"none\" }").checks.is_empty());
}

#[test]
fn a_timeout_that_is_not_written_is_no_more_than_the_interval() {
    let check = &server("check = { type = \"tcp\", interval = \"200ms\" }").checks[0];
    assert_eq!(check.timeout, Duration::from_millis(200));
}

#[test]
fn persistence_in_both_notations() {
    let short = server("persistence = \"60s\"").persistence.unwrap();
    assert_eq!(short, Persistence { timeout: Duration::from_secs(60), prefix_v4: 32, prefix_v6: 128 });
    let long = server("persistence = { prefix_v4 = 24, prefix_v6 = 64 }").persistence.unwrap();
    assert_eq!(long, Persistence { timeout: Duration::from_secs(300), prefix_v4: 24, prefix_v6: 64 });
}

#[test]
fn checks_inherit_what_they_do_not_say() {
    let model = right(&format!(
        "[defaults.check]\ntype = \"http\"\npath = \"/health\"\ninterval = \"5s\"\ntimeout = \"4s\"\nrise = 7\nbody \
         = \"a\"\n{}",
        with("[[virtual_server.check]]\nrise = 1\n[[virtual_server.check]]\ntype = \"tcp\"\n")
    ));
    let [one, two] = model.virtual_servers[0].checks.as_slice() else { panic!() };
    assert_eq!((one.interval, one.timeout, one.rise), (Duration::from_secs(5), Duration::from_secs(4), 1));
    assert_eq!(http(&one.spec).path, "/health");
    assert!(matches!(&http(&one.spec).body, Some(Body::Matches(regex)) if regex.as_str() == "a"));
    assert_eq!((&*two.spec, two.rise), (&Spec::Tcp, 7));
}

#[test]
fn an_unwritten_check_is_the_default_one() {
    let model = right(&format!("[defaults.check]\ntype = \"http\"\n{}", with("")));
    assert_eq!(&*model.virtual_servers[0].checks[0].name, "http");
    let model = right(&format!("[defaults.check]\ntype = \"none\"\n{}", with("")));
    assert!(model.virtual_servers[0].checks.is_empty());
}

#[test]
fn everything_written_is_read() {
    let server = server(
        r#"
protocol = "tcp"
scheduler = "mh"
scheduler_flags = ["fallback", "port"]
quorum = 1
sorry_server = "[2001:db8::1]:8081"
slow_start = "1.5s"
on_down = "reset"
connect_timeout = "100ms"
idle_timeout = "2h"
proxy_protocol = "v2"
overload = { mode = "observe" }

[[virtual_server.check]]
type = "https"
name = "deep"
version = "2"
method = "HEAD"
path = "/a?b=c"
host = "www.example.com:8443"
headers = { X-Z = "1", accept = ["a", "b"] }
status = [204, "300-301,404"]
body_sha256 = "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00FF"
max_body = 1000
sni = "sni.example.com"
ca_file = "ca.pem"
insecure = true
client_certificate = "c.pem"
client_key = "k.pem"
port = 9000
connect_to = "10.9.9.9:1"
bind = "10.9.9.8"
fwmark = 7
initially = "up"
only_admission = true

[[virtual_server.check]]
type = "http"
[[virtual_server.check]]
type = "http"
"#,
    );
    assert_eq!(server.scheduler, Scheduler::Maglev);
    assert_eq!(server.scheduler_flags, SchedulerFlags { fallback: true, port: true });
    let address = "[2001:db8::1]:8081".parse().unwrap();
    assert_eq!(server.sorry_server, Some(SorryServer { address, forwarding: Forwarding::Nat }));
    assert_eq!(server.slow_start, Duration::from_millis(1500));
    assert_eq!(server.overload, tidegate_engine::Mode::Observe);
    let expected = ProxyOptions {
        on_down: OnDown::Reset,
        connect_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_secs(7200),
        proxy_protocol: Some(ProxyProtocol::V2),
    };
    assert_eq!(proxy(&server), &expected);
    let names: Vec<&str> = server.checks.iter().map(|check| &*check.name).collect();
    assert_eq!(names, ["deep", "http", "http-2"]);
    let check = &server.checks[0];
    assert_eq!((check.port, check.fwmark), (Some(9000), Some(7)));
    assert_eq!(check.connect_to, Some("10.9.9.9:1".parse().unwrap()));
    assert_eq!(check.bind, Some("10.9.9.8".parse().unwrap()));
    assert_eq!((check.initially, check.only_admission), (Initially::Up, true));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let status = |first, last| StatusRange { first, last };
    let expected = HttpSpec {
        tls: Some(TlsSpec {
            sni: Some("sni.example.com".into()),
            ca_file: Some("ca.pem".into()),
            insecure: true,
            client_certificate: Some(("c.pem".into(), "k.pem".into())),
        }),
        version: HttpVersion::Http2,
        tunnel: None,
        method: "HEAD".into(),
        path: "/a?b=c".into(),
        host: Some("www.example.com:8443".into()),
        headers: vec![pair("X-Z", "1"), pair("accept", "a"), pair("accept", "b")],
        status: vec![status(204, 204), status(300, 301), status(404, 404)],
        body: Some(Body::Sha256(std::array::from_fn(|i| if i % 2 == 0 { 0 } else { 0xff }))),
        max_body: 1000,
    };
    assert_eq!(http(&check.spec), &expected);
}
