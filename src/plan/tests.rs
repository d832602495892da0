use std::time::Duration;

use super::*;
use crate::config;

fn model(text: &str) -> Model {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("director.toml");
    std::fs::write(&file, text).unwrap();
    config::load(&file).unwrap()
}

fn planned(old: &str, new: &str) -> Vec<String> {
    let differences = Description::of(&model(old)).differences(&Description::of(&model(new)));
    differences.iter().map(ToString::to_string).collect()
}

#[test]
fn values_look_as_in_the_configuration() {
    let plain = r#"
        [[virtual_server]]
        name = "web"
        listen = "192.0.2.10:80"
        check = { type = "https" }
        real_server = [{ address = "10.1.0.2:80" }]
    "#;
    let full = r#"
        [[virtual_server]]
        name = "web"
        listen = ["192.0.2.10:80", "[2001:db8::1]:80"]
        scheduler = "mh"
        scheduler_flags = ["fallback", "port"]
        persistence = "5m"
        sorry_server = "127.0.0.1:8081"
        slow_start = "1.5s"
        idle_timeout = "250ms"
        proxy_protocol = "v2"
        real_server = [{ address = "10.1.0.2:80", weight = 3, max_connections = 9 }]
        [virtual_server.check]
        type = "https"
        version = "2"
        host = "www.example.com"
        headers = { X-One = "a b", X-Two = ["c", "d"] }
        status = "200-299,301"
        body = "ok|fine"
        port = 8443
        initially = "up"
    "#;

    assert_eq!(
        planned(plain, full),
        [
            "~ virtual server web: idle_timeout 600s -> 250ms",
            "~ virtual server web: listen tcp 192.0.2.10:80 -> tcp 192.0.2.10:80, tcp [2001:db8::1]:80",
            "~ virtual server web: persistence none -> { timeout = 300s, prefix_v4 = 32, prefix_v6 = 128 }",
            "~ virtual server web: proxy_protocol none -> v2",
            "~ virtual server web: scheduler wlc -> mh",
            "~ virtual server web: scheduler_flags none -> fallback,port",
            "~ virtual server web: slow_start 0s -> 1.5s",
            "~ virtual server web: sorry_server none -> 127.0.0.1:8081",
            "~ virtual server web: sorry_server.forwarding none -> nat",
            "~ virtual server web, check https: body none -> \"ok|fine\"",
            "~ virtual server web, check https: headers none -> X-One = \"a b\", X-Two = \"c\", X-Two = \"d\"",
            "~ virtual server web, check https: host none -> www.example.com",
            "~ virtual server web, check https: initially down -> up",
            "~ virtual server web, check https: port none -> 8443",
            "~ virtual server web, check https: status 200-299 -> 200-299, 301",
            "~ virtual server web, check https: version 1.1 -> 2",
            "~ virtual server web, real server 10.1.0.2:80: max_connections 0 -> 9",
            "~ virtual server web, real server 10.1.0.2:80: weight 1 -> 3",
        ]
    );
    assert_eq!(planned(full, full), Vec::<String>::new());
}

#[test]
fn what_is_fixed_at_the_start_is_said_and_stays() {
    let running = "[director]\nid = \"lb1\"\nshutdown_grace = \"5s\"";
    let wanted =
        "[director]\nid = \"lb2\"\nshutdown_grace = \"1m\"\nproxy_threads = 3\nlog = { level = \"debug\" }";
    assert_eq!(
        planned(running, wanted),
        [
            "~ director: id \"lb1\" -> \"lb2\"",
            "~ director: log.level info -> debug (not before the director is started anew)",
            "~ director: proxy_threads none -> 3 (not before the director is started anew)",
            "~ director: shutdown_grace 5s -> 60s",
        ]
    );

    let (running, mut new) = (model(running).director, model(wanted).director);
    assert_eq!(keep_fixed(&running, &mut new), ["proxy_threads", "log.level"]);

    assert_eq!((new.id.as_str(), new.shutdown_grace), ("lb2", Duration::from_secs(60)));
    assert_eq!((new.proxy_threads, &new.log), (None, &running.log));
    assert_eq!(keep_fixed(&running, &mut new), Vec::<&str>::new());
}
