use tidegate_engine::Mode;

use super::{read, refused, right, server, with, wrong};

#[test]
fn values_out_of_bounds() {
    refused("quorum = 0", "from 1");
    refused("slow_start = \"25h\"", "from 0s to 1d");
    refused("connect_timeout = \"0s\"", "from 1ms");
    for duration in ["", "s", "1", "-1s", "1 s", "1e3s", "1.s", ".5s", "1us", "1m30s", "9999999999s", "١s"] {
        refused(&format!("idle_timeout = \"{duration}\""), "must be a duration");
    }
    for check in
        ["interval = \"0ms\"", "interval = \"1.1d\"", "rise = 0", "fall = 0", "port = 0", "max_body = 0"]
    {
        refused(&format!("check = {{ type = \"http\", {check} }}"), "from 1");
    }
    refused("check = { type = \"http\", max_body = 16777217 }", "to 16777216");
    for status in ["\"\"", "\"200-\"", "\"99\"", "\"+20\"", "1000", "true", "\"299-200\""] {
        refused(&format!("check = {{ type = \"http\", status = {status} }}"), "must be statuses");
    }
    refused("check = { type = \"http\", status = [] }", "must not be empty");
    refused("check = { type = \"http\", body = \"(a{1000}){1000}\" }", "bytes when compiled");
}

#[test]
fn addresses_that_no_host_has() {
    for (address, because) in [
        ("10.1.0.3", "an address and a port"),
        ("localhost:80", "names are not looked up"),
        ("10.1.0.3:0", "a port from 1"),
        ("0.0.0.0:80", "one host"),
        ("[::]:80", "one host"),
        ("224.0.0.1:80", "unicast"),
        ("255.255.255.255:80", "unicast"),
        ("[ff02::1]:80", "unicast"),
        ("[::ffff:10.1.0.3]:80", "as IPv4: 10.1.0.3"),
    ] {
        refused(&format!("sorry_server = \"{address}\""), because);
    }
}

#[test]
fn modes_of_overload_protection() {
    for (mode, wanted) in [("protect", Mode::Protect), ("observe", Mode::Observe), ("off", Mode::Off)] {
        assert_eq!(server(&format!("overload = {{ mode = \"{mode}\" }}")).overload, wanted);
    }
    refused("overload = { mode = \"on\" }", "protect");
    refused("overload = {}", "mode");
}

#[test]
fn quorum_arithmetic() {
    server("quorum = 1\nhysteresis = 0");
    refused("hysteresis = 1", "quorum 1 + hysteresis 1 is more than 1");
    refused("quorum = 4294967295\nhysteresis = 4294967295", "could never be gained");
    let all_weights_zero = with("").replace("8080\"", "8080\", weight = 0");
    assert!(wrong(&all_weights_zero)[0].contains("is more than 0"));
    // A sum of which a part is not known accuses nobody.
    let mistakes = wrong(&with("quorum = 5").replace("8080\"", "8080\", weight = \"10\""));
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
}

#[test]
fn a_pool_may_be_empty_only_beside_a_sorry_server() {
    let empty =
        |keys: &str| format!("[[virtual_server]]\nname = \"web\"\nlisten = \"192.0.2.10:80\"\n{keys}");
    right(&empty("sorry_server = \"10.1.0.2:80\""));
    assert_eq!(wrong(&empty("")), ["[[virtual_server]] needs a real server or a sorry server"]);
    assert_eq!(wrong(&empty("sorry_server = {}")).len(), 1);
}

#[test]
fn loops() {
    refused("sorry_server = \"192.0.2.10:80\"", "a loop");
    let wildcard = with("sorry_server = \"127.0.0.1:80\"").replace("192.0.2.10:80", "0.0.0.0:80");
    assert!(wrong(&wildcard)[0].contains("a loop"));
    right(&wildcard.replace("127.0.0.1:80", "127.0.0.1:81"));
}

#[test]
fn listens_conflict_per_protocol_and_family() {
    let two = |one: &str, other: &str, keys: &str| {
        with("").replace("192.0.2.10:80", one)
            + &with(keys).replace("192.0.2.10:80", other).replace("\"web\"", "\"other\"")
    };
    right(&two("192.0.2.10:80", "192.0.2.10:80", "protocol = \"udp\""));
    right(&two("0.0.0.0:80", "192.0.2.10:81", ""));
    right(&two("0.0.0.0:80", "[2001:db8::1]:80", ""));
    assert!(wrong(&two("[::]:80", "[2001:db8::1]:80", ""))[0].contains("is part of [::]:80"));
    assert!(wrong(&two("192.0.2.10:80", "0.0.0.0:80", ""))[0].contains("is part of 0.0.0.0:80"));
    assert!(wrong(&two("0.0.0.0:80", "0.0.0.0:80", ""))[0].contains("listens on 0.0.0.0:80 already"));
}

#[test]
fn checks() {
    refused("check = {}", "needs `type`");
    refused("check = []", "must not be empty");
    refused("check = { type = \"none\", interval = \"1s\" }", "means nothing");
    refused("check = { type = \"http\", insecure = true }", "belongs to checks of type \"https\"");
    refused("check = { type = \"tcp-half-open\", path = \"/\" }", "and this one is \"tcp-half-open\"");
    refused("check = { type = \"tcp\", bind = \"2001:db8::1\" }", "different address families");
    refused("check = [{ type = \"tcp\", name = \"tcp-2\" }, { type = \"tcp\" }]", "named \"tcp-2\" already");
    refused("check = { type = \"https\", client_key = \"k.pem\" }", "needs `client_certificate`");
    for (key, value) in [("method", "G T"), ("path", "health"), ("host", "a/b"), ("version", "3")] {
        refused(&format!("check = {{ type = \"http\", {key} = \"{value}\" }}"), "must be");
    }
    let headers = "check = { type = \"http\", headers = { \"a b\" = \"c\" } }";
    refused(headers, "cannot send the header");
    refused("check = { type = \"http\", headers = { a = [1] } }", "must be a string");
}

#[test]
fn sections_of_the_wrong_type() {
    assert!(wrong("director = 1")[0].contains("`director` must be a table"));
    assert!(wrong("[director]\nlog = []")[0].contains("`log` must be a table"));
    assert!(wrong("[virtual_server]\nname = \"a\"")[0].contains("each begins with [[virtual_server]]"));
    assert!(wrong("virtual_server = [1, \"a\"]").len() == 2);
    assert!(wrong("include = 1")[0].contains("must be a string"));
    assert!(wrong("[vrrp]\nname = \"a\"")[0].contains("each begins with [[vrrp]]"));
    refused("real_servers = []", "did you mean `real_server`?");
}

#[test]
fn what_is_missing_is_not_guessed_where_the_text_is_broken() {
    let mistakes = wrong("[[virtual_server]]\nlisten = 192.0.2.10:80\n");
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
}

#[test]
fn many_mistakes_are_counted_and_some_are_shown() {
    let text: String = (0..120).map(|i| format!("key_{i} = 1\n")).collect();
    let mistakes = read(&text).unwrap_err();
    assert_eq!((mistakes.shown().len(), mistakes.total()), (50, 120));
    assert!(mistakes.to_string().ends_with("\nand 70 more"));
}

#[test]
fn the_mark_stands_below_what_it_means() {
    let shown = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(
        shown("[director]\n\tid\t= 'é', 1"),
        "test.toml:2:10: unexpected key or value, expected newline, `#`\n    2 | \tid\t= 'é', 1\n      | \t  \t     ^"
    );
    let long = shown(&format!("x = \"{}\"\ny{} = 1", "a\u{9b}".repeat(500), "z".repeat(300)));
    assert!(long.lines().all(|line| line.chars().count() < 250 && !line.contains('\u{9b}')), "{long}");
}
