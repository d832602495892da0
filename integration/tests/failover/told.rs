//! Who is told of a transition: notification scripts, listeners to events, readers of the status and the log.

use std::fs::{Permissions, read_to_string, set_permissions, write};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tidegate_integration::clock::wait_for;
use tidegate_integration::director::program;
use tidegate_integration::peer::directory;

use super::{PATIENCE, Pair, SHORT};

/// A notification script in this folder that writes into `told`, so slowly that they would come out of order if they
/// were not run one at a time.
fn script(folder: &Path) -> PathBuf {
    let script = folder.join("notify");
    set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    write(
        &script,
        format!(
            "#!/bin/sh\nsleep 0.2\necho \"$(id -un) $* $TIDEGATE_VIRTUAL_ROUTER $TIDEGATE_FROM $TIDEGATE_STATE \
             $TIDEGATE_REASON\" >> {}\n",
            folder.join("told").display()
        ),
    )
    .unwrap();
    set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    script
}

fn told(folder: &Path) -> Vec<String> {
    read_to_string(folder.join("told")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn a_router_that_is_taken_out_is_told_of_to_its_end() {
    let folder = directory();
    let script = script(folder.path());
    let pair = Pair::start(SHORT, &format!("notify = [{script:?}]"));
    pair.director(1).reload("");
    pair.holds("the router is taken out", 2);
    wait_for("the last script", PATIENCE, || {
        told(folder.path()).iter().any(|line| line.starts_with("nobody r100 initialize")).then_some(())
    });
}

#[test]
fn scripts_events_and_the_status_tell_what_happened() {
    let folder = directory();
    let script = script(folder.path());
    let mut pair = Pair::start_with(SHORT, |host| match host {
        1 => format!("notify = [{script:?}, \"quick\"]"),
        _ => String::new(),
    });
    let mut listener = Command::new(program())
        .args(["events", "--json", "--socket"])
        .arg(pair.director(1).socket())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(listener.stdout.take().unwrap()).lines();
    // Until it listens.
    std::thread::sleep(5 * SHORT);

    assert!(pair.director(1).command(&["failover", "r100"]).status.success());
    pair.holds("an order", 2);
    pair.director(2).signal("TERM");
    pair.holds("a stop of the other", 1);

    let mut next = || {
        let event: Value = serde_json::from_str(&events.next().unwrap().unwrap()).unwrap();
        assert_eq!((&event["event"], &event["virtual_router"]), (&"virtual_router".into(), &"r100".into()));
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        (text("from"), text("to"), text("reason"))
    };
    let expected = [
        ("active", "resigning", "an operator's order"),
        ("resigning", "backup", "10.77.0.2 has taken over"),
        ("backup", "active", "no other director was heard any more"),
    ];
    for (from, to, reason) in expected {
        assert_eq!(next(), (from.to_owned(), to.to_owned(), reason.to_owned()));
    }
    listener.kill().unwrap();
    listener.wait().unwrap();

    let line =
        |from: &str, to: &str, reason: &str| format!("nobody quick r100 {to} r100 {from} {to} {reason}");
    let lines: Vec<_> = [
        ("initialize", "backup", "everything that is needed is there"),
        ("backup", "active", "no other director was heard any more"),
    ]
    .into_iter()
    .chain(expected)
    .map(|(from, to, reason)| line(from, to, reason))
    .collect();
    wait_for("all scripts", PATIENCE, || (told(folder.path()).len() >= lines.len()).then_some(()));
    assert_eq!(told(folder.path()), lines, "in the order of what happened");

    let status = pair.director(1).status();
    let router = &status["virtual_routers"][0];
    assert_eq!((&router["state"], &router["transitions"]), (&"active".into(), &5.into()), "{router:#}");
    assert!(router["sent"].as_u64() > Some(5) && router["received"].as_u64() > Some(1), "{router:#}");
    assert_eq!(router["heard"]["source"], "10.77.0.2", "{router:#}");
    assert!(status["vrrp"]["scheduling"].as_str().is_some(), "{status:#}");
    let text = pair.director(1).command(&["status"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("r100") && text.contains("active"), "{text}");

    // A stop waits for the last of them.
    let mut director = pair.directors.remove(0);
    director.signal("TERM");
    assert!(director.wait(PATIENCE).success());
    let last = [
        line("active", "resigning", "the director stops"),
        line("resigning", "initialize", "no other director has taken over"),
    ];
    assert_eq!(told(folder.path())[lines.len()..], last);
}
