//! Scripts, agents and files.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_integration::peer::directory;
use tidegate_integration::sockets::free_port;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::server;
use crate::written::{outcome, outcome_within};

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// A check by this shell script, in a directory that goes with it.
fn script(text: &str) -> (TempDir, String) {
    let directory = directory();
    let path = directory.path().join("check");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let check = format!("type = \"script\"\ncommand = [\"{}\", \"an argument\"]", path.display());
    (directory, check)
}

#[tokio::test]
async fn exit_statuses() {
    for (text, dynamic, expected) in [
        ("exit 0", true, "passed"),
        ("echo fine; exit 0", false, "passed: fine"),
        ("echo broken >&2; exit 1", true, "wrong answer: exit status 1: \"broken\""),
        ("exit 9", true, "passed: weight 7"),
        ("exit 9", false, "wrong answer: exit status 9"),
        ("kill -SEGV $$", false, "wrong answer: ended by signal 11"),
    ] {
        let (_directory, check) = script(text);
        let check = format!("{check}\ndynamic = {dynamic}");
        assert_eq!(outcome(text, NOWHERE, &check).await, expected);
    }
    let missing = "type = \"script\"\ncommand = \"/nowhere/check\"";
    let text = outcome("missing", NOWHERE, missing).await;
    assert_eq!(text, "not run: cannot start /nowhere/check: No such file or directory (os error 2)");
}

#[tokio::test]
async fn a_script_is_told_what_it_checks_and_has_no_privileges() {
    let (_directory, check) = script(
        "echo $1, $(id -un), $TIDEGATE_VIRTUAL_SERVER $TIDEGATE_VIRTUAL_ADDRESS $TIDEGATE_VIRTUAL_PORT, \
         $TIDEGATE_REAL_ADDRESS $TIDEGATE_REAL_PORT",
    );
    assert_eq!(
        outcome("environment", NOWHERE, &check).await,
        "passed: an argument, nobody, web 192.0.2.10 80, 127.0.0.1 9"
    );
}

#[tokio::test]
async fn a_script_that_forks_and_hangs_leaves_nothing_behind() {
    let (directory, check) = script("sleep 987 & echo $! $$; exec sleep 987");
    let text = outcome_within(Duration::from_secs(1), "hanging", NOWHERE, &check).await;
    let numbers: Vec<&str> = text.split('"').nth(1).unwrap().split(' ').collect();
    assert_eq!(text, format!("timed out in answer: killed after 1s: \"{}\"", numbers.join(" ")));
    for number in numbers {
        gone(number).await;
    }
    drop(directory);
}

/// Nobody waits any more for what it says.
#[tokio::test]
async fn a_check_that_is_given_up_ends_its_script() {
    let (directory, check) = script("echo $$ > $(dirname $0)/pid; exec sleep 987");
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o777)).unwrap();
    let started = tokio::time::timeout(Duration::from_secs(1), outcome("given up", NOWHERE, &check)).await;
    assert!(started.is_err());
    gone(std::fs::read_to_string(directory.path().join("pid")).unwrap().trim()).await;
}

async fn gone(number: &str) {
    for _ in 0..500 {
        let status = std::fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
        if status.is_empty() || status.contains("State:\tZ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{number} still runs");
}

/// An agent that says this, having heard `hello`.
async fn agent(line: &'static str) -> SocketAddr {
    server::start(move |mut stream| async move {
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        stream.write_all(line.as_bytes()).await.unwrap();
    })
    .await
}

#[tokio::test]
async fn agents() {
    let check = "type = \"agent\"\nport = 1\nsend = \"hello\"";
    for (line, expected) in [
        ("up 100%\n", "passed: \"up 100%\""),
        ("drain", "passed: \"drain\""),
        ("down # for a disk\r\n", "wrong answer: the agent said \"down # for a disk\""),
        ("hi\n", "not run: the agent said \"hi\": that is none of its words"),
        ("", "not run: the agent was not heard: closed by the server: no line from the agent"),
    ] {
        assert_eq!(outcome(line.trim_end(), agent(line).await, check).await, expected);
    }
    let text = outcome("refused", free_port(), check).await;
    assert_eq!(text, "not run: the agent was not heard: connection refused");
    let silent = server::silent().await;
    let text = outcome_within(Duration::from_millis(300), "silent", silent, check).await;
    assert_eq!(text, "not run: the agent was not heard: no line from the agent within 300ms");
}
