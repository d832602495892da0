//! What the checks say about the real servers.

use std::time::Duration;

use serde_json::Value;
use tidegate_integration::client::get;
use tidegate_integration::clock::{now, wait_for};
use tidegate_integration::director::Director;
use tidegate_integration::sockets::free_port;
use tidegate_integration::web::{Answer, Web};

use crate::{
    CHECK, PATIENCE, fall_ill, real_server, recover, start, virtual_server, wait_for_servers, wait_for_state,
};

fn reason(director: &Director, server: &Web) -> String {
    real_server(director, server)["reason"].as_str().unwrap().to_owned()
}

/// Waits until one of the server's checks, counted from 0, has failed so often in a row.
fn wait_for_failures(director: &Director, server: &Web, check: usize, count: u64) -> Value {
    wait_for(&format!("{count} failures"), PATIENCE, || {
        let check = real_server(director, server)["checks"][check].clone();
        let last = &check["outcomes"][0];
        (last["kind"] != "passed" && last["times"].as_u64() >= Some(count)).then_some(check)
    })
}

#[test]
fn all_checks_must_pass_and_the_reason_names_the_one_that_fails() {
    let (pool, listen) = ([Web::start(), Web::start()], free_port());
    let check = |name| {
        format!(
            "[[virtual_server.check]]\nname = \"{name}\"\ntype = \"http\"\npath = \"/{name}\"\n\
             interval = \"300ms\"\nrise = 1\nfall = 2\n"
        )
    };
    let servers = pool.clone().map(|it| (it.address(), ""));
    let lines = ["front", "orders", "stock"].map(check).concat();
    let director = start(&virtual_server("web", listen, &lines, &servers), &pool);
    let [one, two] = &pool;
    wait_for_servers(listen, &[one, two]);

    one.answer("/orders", Answer::Unavailable);

    wait_for_state(&director, one, "down");
    let status = real_server(&director, one);
    assert_eq!(
        status["reason"],
        "orders: 2 failures in a row (fall 2), the last: wrong answer: 503 Service Unavailable instead of 200-299"
    );
    let checks: Vec<_> = status["checks"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
    assert_eq!(checks, ["up", "down", "up"]);
    wait_for_servers(listen, &[two]);

    one.answer("/stock", Answer::Unavailable);
    wait_for_failures(&director, one, 2, 2);
    one.answer("/orders", Answer::Ok);
    wait_for("the reason to name what is left", PATIENCE, || {
        reason(&director, one).starts_with("stock: ").then_some(())
    });
    one.answer("/stock", Answer::Ok);
    wait_for_state(&director, one, "up");
    wait_for_servers(listen, &[one, two]);
}

#[test]
fn a_check_for_admission_only_does_not_remove_who_was_admitted() {
    let (pool, listen) = ([Web::start(), Web::start()], free_port());
    let [one, two] = &pool;
    one.answer("/health", Answer::Unavailable);
    let lines = CHECK.replace("fall = 2", "fall = 2, only_admission = true");
    let servers = pool.clone().map(|it| (it.address(), ""));
    let director = start(&virtual_server("web", listen, &lines, &servers), std::slice::from_ref(two));
    wait_for_state(&director, one, "down");
    wait_for_servers(listen, &[two]);

    recover(&director, one);
    two.answer("/health", Answer::Unavailable);

    let check = wait_for_failures(&director, two, 0, 4);
    assert_eq!(check["state"], "up");
    assert_eq!(real_server(&director, two)["state"], "up");
    wait_for_servers(listen, &[one, two]);
}

#[test]
fn a_server_that_is_initially_up_serves_until_it_has_failed_as_often_as_others() {
    let (server, listen) = (Web::start(), free_port());
    server.answer("/health", Answer::Unavailable);
    let configuration = |fall: u32| {
        let lines = CHECK.replace("fall = 2", &format!("fall = {fall}, initially = \"up\""));
        virtual_server("web", listen, &lines, &[(server.address(), "")])
    };
    let director = start(&configuration(1000), &[]);
    assert_eq!(real_server(&director, &server)["state"], "up");
    wait_for_servers(listen, &[&server]);

    let check = wait_for_failures(&director, &server, 0, 3);
    assert_eq!((&check["state"], &check["needed"]), (&"up".into(), &1000.into()));
    wait_for_servers(listen, &[&server]);

    director.reload(&configuration(3));
    wait_for_state(&director, &server, "down");
    assert!(reason(&director, &server).contains("failures in a row (fall 3)"));
}

#[test]
fn a_server_that_is_not_checked_is_up_and_its_refusals_are_not_the_clients() {
    let (server, listen) = (Web::start(), free_port());
    let dead = free_port();
    let lines = "scheduler = \"rr\"\ncheck = { type = \"none\" }";
    let director = start(
        &virtual_server("web", listen, lines, &[(server.address(), ""), (dead, "")]),
        std::slice::from_ref(&server),
    );

    let status = director.real_server("web", &dead.to_string());
    assert_eq!((&status["state"], &status["reason"]), (&"up".into(), &"no checks".into()));
    assert_eq!(status["checks"].as_array().unwrap().len(), 0);
    wait_for_servers(listen, &[&server]);
    for _ in 0..10 {
        assert_eq!(get(listen, "/").unwrap(), server.address().to_string());
    }
    assert!(director.real_server("web", &dead.to_string())["connect_failures"].as_u64() > Some(0));
    assert!(server.seen("/health").is_empty());
}

#[test]
fn virtual_servers_with_equal_checks_share_a_probe() {
    let server = Web::start();
    let (first, second, third) = (free_port(), free_port(), free_port());
    let servers = [(server.address(), "")];
    let lines = CHECK.replace("300ms", "500ms");
    // rise and fall are no part of the question.
    let patient = lines.replace("fall = 2", "fall = 4");
    let equal = virtual_server("web", first, &lines, &servers)
        + &virtual_server("patient", second, &patient, &servers);
    let start_of_checks = now();
    let director = start(&equal, std::slice::from_ref(&server));
    let address = server.address().to_string();
    director.wait_for_state("patient", &address, "up");
    let checks = || director.status()["director"]["checks"].clone();
    assert_eq!(checks()["probes"], 1);

    wait_for("some checks", PATIENCE, || (server.seen("/health").len() >= 5).then_some(()));
    let seen = server.seen("/health").len() as u64;
    let started = checks()["started"].as_u64().unwrap();
    assert!(started.abs_diff(seen) <= 1, "{started} checks were begun and {seen} requests came");
    let intervals = (now() - start_of_checks).as_millis() as u64 / 500;
    assert!(seen <= intervals * 3 / 2 + 1, "{seen} requests in {intervals} intervals");

    fall_ill(&director, &server);
    director.wait_for_state("patient", &address, "down");
    recover(&director, &server);

    let other = virtual_server("other", third, &lines.replace("/health", "/other"), &servers);
    director.reload(&(equal + &other));
    assert_eq!(checks()["probes"], 2);
    director.wait_for_state("other", &address, "up");
}

#[test]
fn a_check_goes_where_it_is_told() {
    let (server, stand_in, listen) = (Web::start(), Web::start(), free_port());
    let check = |further: &str| {
        let lines = CHECK.replace("fall = 2", &format!("fall = 2, {further}"));
        virtual_server("web", listen, &lines, &[(server.address(), "")])
    };
    let port = stand_in.address().port();
    let director =
        start(&check(&format!("port = {port}, bind = \"127.0.0.7\"")), std::slice::from_ref(&server));
    assert!(server.seen("/health").is_empty());
    assert!(stand_in.seen("/health").iter().all(|it| it.peer.ip().to_string() == "127.0.0.7"));
    fall_ill_by(&director, &server, &stand_in);
    assert_eq!(get(listen, "/").map_err(|it| it.kind()).ok(), None, "the only server is down");

    let other = Web::start_on("127.0.0.9:0");
    director.reload(&check(&format!("connect_to = \"{}\"", other.address())));
    wait_for_state(&director, &server, "up");
    assert!(!other.seen("/health").is_empty());
    wait_for_servers(listen, &[&server]);

    let before = other.seen("/health").len();
    let elsewhere = format!("connect_to = \"127.0.0.9:9\", port = {}", other.address().port());
    director.reload(&check(&elsewhere));
    wait_for("the check to go to the port of the check", PATIENCE, || {
        (other.seen("/health").len() > before + 1).then_some(())
    });
    fall_ill_by(&director, &server, &other);
}

/// `checked` answers the check in place of `server`.
fn fall_ill_by(director: &Director, server: &Web, checked: &Web) {
    checked.answer("/health", Answer::Unavailable);
    wait_for_state(director, server, "down");
}

#[test]
fn servers_that_hang_or_drip_delay_no_other_check() {
    let hanging = Web::start_on("0.0.0.0:0");
    hanging.answer("/health", Answer::Hang);
    let (dripping, good, listen) = (Web::start(), Web::start(), free_port());
    dripping.answer("/health", Answer::Drip);
    let addresses: Vec<_> =
        (1..=200_u8).map(|host| ([127, 0, 2, host], hanging.address().port()).into()).collect();
    let mut servers: Vec<_> = addresses.iter().map(|address| (*address, "")).collect();
    servers.extend([(dripping.address(), ""), (good.address(), "")]);
    let lines = CHECK.replace("300ms", "1s");
    let begin = now();
    let director = start(&virtual_server("web", listen, &lines, &servers), std::slice::from_ref(&good));

    wait_for_state(&director, &dripping, "down");
    let text = reason(&director, &dripping);
    assert!(text.starts_with("http: first outcome: timed out in answer: "), "{text}");
    wait_for("all others to be down", PATIENCE, || {
        let status = director.virtual_server("web");
        let down = status["real_servers"].as_array().unwrap().iter().filter(|it| it["state"] == "down");
        (down.count() == addresses.len() + 1).then_some(())
    });
    let text = director.real_server("web", &addresses[99].to_string())["reason"].to_string();
    assert!(text.contains("timed out in answer: ") && text.contains("within 1s"), "{text}");

    wait_for("checks of the good one", PATIENCE, || (good.seen("/health").len() >= 6).then_some(()));
    let status = real_server(&director, &good);
    let outcomes = status["checks"][0]["outcomes"].as_array().unwrap();
    assert_eq!((&status["state"], outcomes.len()), (&"up".into(), 1), "{status:#}");
    assert!(outcomes[0]["latency_ms"].as_f64().unwrap() < 500.0, "{status:#}");
    let seen = good.seen("/health");
    let whole = seen[5].at - begin;
    assert!(whole < Duration::from_secs(12), "5 intervals of 1s took {whole:?}");
    let checks = director.status()["director"]["checks"].clone();
    assert_eq!((&checks["probes"], &checks["late"]), (&202.into(), &0.into()), "{checks}");
    wait_for_servers(listen, &[&good]);
}
