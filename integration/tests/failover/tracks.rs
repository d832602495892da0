//! What is tracked moves the address, where it is worse here than there.

use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};

use tempfile::TempDir;
use tidegate_integration::clock::wait_for;
use tidegate_integration::namespace::in_namespace;
use tidegate_integration::peer::directory;
use tidegate_integration::sockets::serve_on;

use super::{BETTER, PATIENCE, Pair, SHORT};

/// A pair of which only host 1 tracks something.
fn tracking(track: &str) -> Pair {
    Pair::start_with(SHORT, |host| if host == 1 { format!("[[vrrp.track]]\n{track}") } else { String::new() })
}

struct Sleep(Child);

impl Sleep {
    fn start(program: &Path) -> Self {
        Self(Command::new(program).arg("1000").spawn().unwrap())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_script_and_a_file() {
    let folder = directory();
    let (script, file) = (folder.path().join("script"), folder.path().join("number"));
    let ends_with = |code: u8| {
        let new = folder.path().join("new");
        write(&new, format!("#!/bin/sh\nid -un > {}\nexit {code}\n", folder.path().join("who").display()))
            .unwrap();
        set_permissions(&new, Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(new, &script).unwrap();
    };
    set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    ends_with(0);
    let pair = tracking(&format!(
        "type = \"script\"\ncommand = [{script:?}]\ninterval = \"200ms\"\ntimeout = \"200ms\"\n\
         [[vrrp.track]]\ntype = \"file\"\npath = {file:?}\ninterval = \"200ms\"\nweight = -1",
    ));
    // While it runs, the file is there and empty.
    wait_for("the script to say who it is", PATIENCE, || {
        let who = std::fs::read_to_string(folder.path().join("who")).unwrap();
        assert!(matches!(who.as_str(), "" | "nobody\n"), "{who}");
        (!who.is_empty()).then_some(())
    });
    ends_with(1);
    pair.holds("the script fails", 2);
    assert_eq!(pair.director(1).virtual_router("r100")["tracks"][0]["state"], "down");
    ends_with(0);
    pair.holds("the script passes", 1);

    write(&file, "40\n").unwrap();
    wait_for("the number", PATIENCE, || {
        (pair.director(1).virtual_router("r100")["priority"] == 110).then_some(())
    });
    pair.stays("still the better one", 1);
    write(&file, "60\n").unwrap();
    pair.holds("the number is too large", 2);
    std::fs::remove_file(&file).unwrap();
    pair.holds("there is no file any more", 1);
}

#[test]
fn a_process() {
    let folder = TempDir::new().unwrap();
    let name = format!("tg-{}", std::process::id());
    let program = folder.path().join(&name);
    std::fs::copy("/bin/sleep", &program).unwrap();
    let process = Sleep::start(&program);
    let pair = tracking(&format!("type = \"process\"\nprogram = \"{name}\"\ninterval = \"200ms\""));
    drop(process);
    pair.holds("the process has ended", 2);
    let _process = Sleep::start(&program);
    pair.holds("the process runs again", 1);
}

#[test]
fn an_interface() {
    let pair = Pair::start(SHORT, "");
    let ip = |words: &[&str]| assert!(pair.lan.command(1, "ip").args(words).status().unwrap().success());
    ip(&["link", "add", "inside", "type", "veth", "peer", "name", "outside"]);
    ip(&["link", "set", "inside", "up"]);
    ip(&["link", "set", "outside", "up"]);
    let track = "[[vrrp.track]]\ntype = \"interface\"\ninterface = \"inside\"\nweight = -60";
    pair.director(1).reload(&pair.configuration(1, BETTER, track));
    pair.stays("the interface has a carrier", 1);
    ip(&["link", "set", "outside", "down"]);
    pair.holds("the carrier is lost", 2);
    assert_eq!(pair.director(1).virtual_router("r100")["priority"], 90);
    ip(&["link", "set", "outside", "up"]);
    pair.holds("the carrier is back", 1);
    ip(&["link", "delete", "inside"]);
    pair.holds("the interface is gone", 2);
}

/// Lost on one director: the other may reach the servers. Lost on both: moving the address helps nobody.
#[test]
fn a_quorum() {
    let pair = Pair::start_with(SHORT, |host| {
        format!(
            "[[vrrp.track]]\ntype = \"virtual_server\"\nvirtual_server = \"web\"\nweight = -60\n\
             [[virtual_server]]\nname = \"web\"\nlisten = \"127.0.0.1:80\"\n\
             check = {{ type = \"tcp\", interval = \"200ms\", timeout = \"200ms\", rise = 1, fall = 1 }}\n\
             [[virtual_server.real_server]]\naddress = \"127.0.0.{host}:8080\"\n",
        )
    });
    let serve =
        |host: u8| in_namespace(&pair.lan.host(host), || serve_on(&format!("127.0.0.{host}:8080"), drop));
    let priority = |host: u8| pair.director(host).virtual_router("r100")["priority"].as_u64().unwrap();
    let lost = |host: u8, priority_then| {
        wait_for("the quorum to count", PATIENCE, || (priority(host) == priority_then).then_some(()));
    };
    lost(1, 90);
    lost(2, 40);
    pair.holds("lost on both", 1);
    pair.stays("lost on both", 1);
    serve(2);
    lost(2, 100);
    pair.holds("lost on host 1 only", 2);
    serve(1);
    lost(1, 150);
    pair.holds("held by both", 1);
}
