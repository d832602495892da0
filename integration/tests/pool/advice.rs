//! Weights that checks ask for.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::director::{Director, Launch};
use tidegate_integration::sockets::{free_port, serve};
use tidegate_integration::web::Web;

use crate::{PATIENCE, shares, virtual_server, wait_for_servers};

fn weight(director: &Director, server: &Web) -> u64 {
    director.real_server("web", &server.address().to_string())["weight"].as_u64().unwrap()
}

fn wait_for_weight(director: &Director, server: &Web, expected: u64) {
    wait_for(&format!("weight {expected}"), PATIENCE, || {
        (weight(director, server) == expected).then_some(())
    });
}

#[test]
fn an_agent_and_a_file_set_weights() {
    let (pool, listen) = ([Web::start(), Web::start()], free_port());
    let said = Arc::new(Mutex::new("100%"));
    let line = Arc::clone(&said);
    let agent = serve(move |mut stream| {
        let _gone = writeln!(stream, "{}", line.lock().unwrap());
    });
    let folder = tempfile::tempdir().unwrap();
    let timing = "interval = \"100ms\"\ntimeout = \"100ms\"";
    let lines = format!(
        "scheduler = \"wrr\"\n[[virtual_server.check]]\ntype = \"tcp\"\n{timing}\n[[virtual_server.check]]\n\
         type = \"agent\"\nconnect_to = \"{agent}\"\n{timing}\n[[virtual_server.check]]\ntype = \"file\"\n\
         path = \"{}/{{address}}:{{port}}\"\n{timing}",
        folder.path().display()
    );
    let servers = pool.each_ref().map(|it| (it.address(), "weight = 10"));
    let director = Director::start(&virtual_server("web", listen, &lines, &servers));
    let [one, two] = &pool;
    wait_for_weight(&director, one, 10);

    *said.lock().unwrap() = "up 30%";
    wait_for_weight(&director, one, 3);
    wait_for_weight(&director, two, 3);
    assert_eq!(shares(listen, 20).values().sum::<usize>(), 20);

    let out = folder.path().join(one.address().to_string());
    std::fs::write(&out, "").unwrap();
    wait_for_weight(&director, one, 0);
    wait_for_servers(listen, &[two]);
    let told = director.real_server("web", &one.address().to_string());
    assert_eq!((&told["state"], &told["advised_weight"]), (&"up".into(), &0.into()));

    std::fs::remove_file(out).unwrap();
    wait_for_servers(listen, &[one, two]);
    *said.lock().unwrap() = "down";
    director.wait_for_state("web", &one.address().to_string(), "down");
}

/// Programs that take their time, many more than may run at once, hold up nobody but themselves.
#[test]
fn scripts_do_not_delay_other_checks() {
    const SCRIPTS: u8 = 250;
    let checked = Web::start();
    let timing = "interval = \"1s\"\ntimeout = \"1s\"";
    let script =
        format!("[virtual_server.check]\ntype = \"script\"\ncommand = [\"/bin/sleep\", \"0.5\"]\n{timing}");
    let servers: Vec<(SocketAddr, &str)> =
        (1..=SCRIPTS).map(|host| (SocketAddr::from(([127, 0, 1, host], 80)), "")).collect();
    let configuration = virtual_server("scripts", free_port(), &script, &servers)
        + &virtual_server(
            "web",
            free_port(),
            "check = { type = \"http\", interval = \"200ms\" }",
            &[(checked.address(), "")],
        );
    let director = Director::start(&configuration);
    std::thread::sleep(Duration::from_secs(4));
    let seen = checked.seen("/");
    let gaps = seen.windows(2).map(|pair| pair[1].at - pair[0].at);
    let worst = gaps.max().unwrap_or_default();
    assert!(seen.len() >= 10 && worst < Duration::from_secs(1), "{} checks, {worst:?}", seen.len());
    drop(director);
}

/// One program at a time may run, and one of them takes its time.
#[test]
fn a_check_that_gets_no_turn_is_an_alarm_until_it_does() {
    let servers = [(SocketAddr::from(([127, 0, 1, 1], 80)), "")];
    let check = |command: &str, interval| {
        format!(
            "[virtual_server.check]\ntype = \"script\"\ncommand = {command}\ninterval = \"{interval}\"\ntimeout = \"{interval}\""
        )
    };
    let configuration =
        virtual_server("slow", free_port(), &check("[\"/bin/sleep\", \"8\"]", "30s"), &servers)
            + &virtual_server("starved", free_port(), &check("\"/bin/true\"", "200ms"), &servers);
    let director = Launch::default().with_director("max_concurrent_scripts = 1").start(&configuration);

    let silent = || director.status()["director"]["checks"].clone();
    wait_for("the alarm", PATIENCE, || (silent()["silent"] == 1).then_some(()));
    let named = &silent()["silent_checks"][0];
    assert_eq!((&named["virtual_server"], &named["check"]), (&"starved".into(), &"script".into()));
    let shown = String::from_utf8(director.command(&["status"]).stdout).unwrap();
    assert!(
        shown.contains("1 checks have stopped giving results: starved 127.0.1.1:80 script for "),
        "{shown}"
    );
    assert!(director.log().contains("the check has stopped giving results"), "{}", director.log());
    wait_for("its end", PATIENCE, || (silent()["silent"] == 0).then_some(()));
    wait_for("its line", PATIENCE, || director.log().contains("the check gives results again").then_some(()));
}
