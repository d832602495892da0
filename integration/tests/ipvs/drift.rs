//! What others change in the kernel's table: in our services it is put back, theirs are left alone.

use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::director::{Director, Launch};
use tidegate_integration::lab::{Lab, ipvsadm, timed};

use super::{PATIENCE, sorted, table, virtual_server, wait_for_table};

/// The resync interval is 1 s; the rest is the lab's slowness.
const BACK: Duration = Duration::from_secs(3);

const OURS: [&str; 6] = [
    "-A -t 10.0.0.1:80 -s wlc",
    "-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 2",
    "-a -t 10.0.0.1:80 -r 10.1.0.2:80 -m -w 3",
    "-A -t 10.0.0.1:443 -s wlc",
    "-a -t 10.0.0.1:443 -r 10.1.0.1:80 -m -w 2",
    "-a -t 10.0.0.1:443 -r 10.1.0.2:80 -m -w 3",
];
const THEIRS: [&str; 4] = [
    "-A -t 10.9.9.9:80 -s rr",
    "-a -t 10.9.9.9:80 -r 10.1.0.1:80 -m -w 1",
    "-A -f 9 -s rr",
    "-a -f 9 -r 10.1.0.1:0 -g -w 5",
];
/// Made while the director runs; its address is ours with another protocol.
const LATER: [&str; 2] = ["-A -u 10.0.0.1:80 -s rr", "-a -u 10.0.0.1:80 -r 10.1.0.9:80 -m -w 1"];

fn put(lines: &[&str]) {
    lines.iter().for_each(|line| drop(ipvsadm(&line.split(' ').collect::<Vec<_>>())));
}

fn start(configuration: &str) -> Director {
    Launch::default().with_director("resync_interval = \"1s\"").start(configuration)
}

fn configuration(on_stop: &str) -> String {
    let keys = format!(
        "listen = [\"10.0.0.1:80\", \"10.0.0.1:443\"]\non_stop = \"{on_stop}\"\ncheck.type = \"none\""
    );
    virtual_server(
        "web",
        &keys,
        &["address = \"10.1.0.1:80\"\nweight = 2", "address = \"10.1.0.2:80\"\nweight = 3"],
    )
}

/// With the thresholds, which are not in what ipvsadm saves.
fn whole_table() -> (Vec<String>, Vec<String>) {
    (table(), sorted(ipvsadm(&["-Ln", "--thresholds"]).lines()))
}

fn all(parts: &[&[&str]]) -> Vec<String> {
    sorted(parts.concat())
}

#[test]
fn what_others_change_in_ours_is_put_back() {
    Lab::default().with_program().run(|| {
        let _director = start(&configuration("keep"));
        wait_for_table(&all(&[&OURS]));
        let ours = whole_table();
        for interference in [
            "-d -t 10.0.0.1:80 -r 10.1.0.2:80",
            "-a -t 10.0.0.1:80 -r 10.1.0.3:80 -m",
            "-e -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 9",
            "-e -t 10.0.0.1:80 -r 10.1.0.1:80 -g -w 2",
            "-e -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 2 -x 10 -y 5",
            "-E -t 10.0.0.1:80 -s rr",
            "-E -t 10.0.0.1:80 -s wlc -p 60",
            "-D -t 10.0.0.1:80",
            "-C",
        ] {
            // Again if it has been put back before it could be seen.
            wait_for("the interference", PATIENCE, || {
                put(&[interference]);
                (whole_table() != ours).then_some(())
            });
            let back =
                || wait_for("the table to be put back", BACK, || (whole_table() == ours).then_some(()));
            let ((), took) = timed(back);
            println!("ipvsadm {interference}: back after {took:?}");
        }
    });
}

#[test]
fn foreign_services_survive_start_reload_and_stop() {
    Lab::default().with_program().run(|| {
        put(&THEIRS);
        let mut director = start(&configuration("keep"));
        wait_for_table(&all(&[&OURS, &THEIRS]));
        put(&LATER);

        // A reload that removes one of ours and changes the other.
        director.reload(&virtual_server(
            "web",
            "listen = \"10.0.0.1:80\"\nscheduler = \"rr\"\ncheck.type = \"none\"",
            &["address = \"10.1.0.2:80\"\nweight = 4"],
        ));
        let changed = ["-A -t 10.0.0.1:80 -s rr", "-a -t 10.0.0.1:80 -r 10.1.0.2:80 -m -w 4"];
        wait_for_table(&all(&[&changed, &THEIRS, &LATER]));

        director.reload(&configuration("keep"));
        let everything = all(&[&OURS, &THEIRS, &LATER]);
        wait_for_table(&everything);
        director.signal("TERM");
        assert!(director.wait(PATIENCE).success());
        assert_eq!(table(), everything, "on_stop = \"keep\"");

        let mut director = start(&configuration("clear"));
        assert_eq!(table(), everything);
        director.signal("TERM");
        assert!(director.wait(PATIENCE).success());
        assert_eq!(table(), all(&[&THEIRS, &LATER]), "on_stop = \"clear\"");
    });
}
