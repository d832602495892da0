//! The kernel's own IPVS settings, read back by ipvsadm in the lab.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::director::Launch;
use tidegate_integration::lab::{Lab, ipvsadm, output_of};

const PATIENCE: Duration = Duration::from_secs(20);

const SETTINGS: &str = r#"
resync_interval = "1s"
[director.ipvs]
timeouts = { tcp = "10m", udp = "30s" }
[[director.ipvs.sync]]
role = "active"
interface = "sync0"
sync_id = 7
[[director.ipvs.sync]]
role = "backup"
interface = "sync0"
sync_id = 7
ttl = 2
"#;

#[test]
fn timeouts_and_synchronisation_daemons_are_held() {
    Lab::default().with_program().run(|| {
        output_of("ip", &["link", "add", "sync0", "type", "dummy"]);
        output_of("ip", &["address", "add", "10.9.9.1/24", "dev", "sync0"]);
        output_of("ip", &["link", "set", "sync0", "up", "multicast", "on"]);
        let _director = Launch::default().with_director(SETTINGS).start("");
        let active =
            "master sync daemon (mcast=sync0, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)";
        let backup =
            "backup sync daemon (mcast=sync0, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=2)";
        let held = |timeouts: &str| {
            let daemons = ipvsadm(&["-l", "--daemon"]);
            ipvsadm(&["-l", "--timeout"]).contains(timeouts)
                && daemons.lines().map(str::trim_end).eq([active, backup])
        };
        // What is not configured, a FIN's timeout, stays the kernel's.
        wait_for("the settings", PATIENCE, || held("600 120 30").then_some(()));

        ipvsadm(&["--set", "1", "2", "3"]);
        ipvsadm(&["--stop-daemon", "backup"]);

        wait_for("the settings to be mended", PATIENCE, || held("600 2 30").then_some(()));
    });
}
