//! What may happen to a director that is Active.

use std::fs::write;
use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::failover::{Router, held, launch};
use tidegate_integration::namespace::Lan;
use tidegate_integration::peer::directory;

use super::{PATIENCE, Pair, SHORT};

#[test]
fn an_address_that_somebody_takes_off_comes_back() {
    let pair = Pair::start(SHORT, "");
    let delete = ["address", "del", "10.77.0.100/24", "dev", "eth0"];
    assert!(pair.lan.command(1, "ip").args(delete).status().unwrap().success());
    pair.holds("the address was taken off", 1);
    wait_for("the log to say so", PATIENCE, || pair.director(1).log().contains("10.77.0.100").then_some(()));
    assert_eq!(pair.director(2).virtual_router("r100")["state"], "backup");
}

/// What a frozen machine does when it goes on: others have taken over long since.
#[test]
fn a_director_that_stood_still_stands_by_before_it_sends_anything() {
    let pair =
        Pair::start_with(SHORT, |host| if host == 1 { "preempt = false".to_owned() } else { String::new() });
    pair.director(1).signal("STOP");
    pair.wait_for_state(2, "active");
    std::thread::sleep(Duration::from_secs(1));
    let transitions = pair.director(2).virtual_router("r100")["transitions"].clone();
    pair.director(1).signal("CONT");
    pair.holds("host 1 goes on", 2);
    pair.stays("host 1 goes on", 2);
    // A single advert of the better one would have pushed it aside.
    assert_eq!(pair.director(2).virtual_router("r100")["transitions"], transitions);
    wait_for("the log to say so", PATIENCE, || pair.director(1).log().contains("stood still").then_some(()));
}

#[test]
fn scripts_that_hang_move_nothing_and_hold_nothing_up() {
    let folder = directory();
    let file = folder.path().join("hang");
    // The first verdict is waited for.
    let script = format!("while test -e {}; do sleep 1; done", file.display());
    let mut pair = Pair::start(
        SHORT,
        &format!(
            "notify = {{ command = [\"/bin/sh\", \"-c\", \"sleep 60\"], timeout = \"2s\" }}\n[[vrrp.track]]\ntype = \"script\"\n\
             command = [\"/bin/sh\", \"-c\", {script:?}]\ninterval = \"1s\"\ntimeout = \"1s\"\nfall = 100\nweight = 1\n"
        ),
    );
    write(&file, "").unwrap();
    std::thread::sleep(Duration::from_secs(1));
    pair.stays("scripts hang", 1);
    pair.director(1).signal("TERM");
    pair.holds("a stop", 2);
    assert!(pair.directors[0].wait(PATIENCE).success());
}

#[test]
fn a_director_without_the_rights_says_which() {
    let lan = Lan::new(1);
    let text = Router::new(100, SHORT).tidegate(1, 100);
    let mut director =
        launch(&lan, 1).through(&["setpriv", "--bounding-set", "-net_raw,-net_admin"]).spawn(&text);
    assert!(!director.wait(PATIENCE).success());
    assert!(director.log().contains("CAP_NET_ADMIN and CAP_NET_RAW"), "{}", director.log());
    assert_eq!(held(&lan, 1, &[Router::new(100, SHORT)]).len(), 0);
}

#[test]
fn a_director_without_realtime_warns_and_works() {
    let lan = Lan::new(1);
    let router = Router::new(100, SHORT);
    let director = launch(&lan, 1)
        .through(&["setpriv", "--bounding-set", "-sys_nice,-ipc_lock"])
        .start(&router.tidegate(1, 100));
    wait_for("the address", PATIENCE, || {
        (held(&lan, 1, std::slice::from_ref(&router)).len() == 1).then_some(())
    });
    assert!(director.log().contains("may make their adverts late"), "{}", director.log());
}
