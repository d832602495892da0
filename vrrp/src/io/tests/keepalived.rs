use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::director::{Director, address, router};
use crate::config::{Config, Family};
use crate::io::namespace::Host;
use crate::{Reason, State};

/// keepalived on a host, for the same virtual router at priority 150. Resigns when dropped.
struct Keepalived {
    child: Child,
    _directory: TempDir,
}

impl Keepalived {
    fn start(host: &Host) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let configuration = "\
            global_defs {\n vrrp_version 3\n}\n\
            vrrp_instance front {\n interface eth0\n virtual_router_id 7\n state BACKUP\n priority 150\n \
            advert_int 0.1\n virtual_ipaddress {\n 10.0.0.100/32\n }\n}\n";
        fs::write(file("conf"), configuration).unwrap();
        let log = fs::File::create(file("log")).unwrap();
        let mut command = Command::new("keepalived");
        command.args(["--vrrp", "--dont-fork", "--log-console", "--use-file"]);
        command.arg(file("conf")).arg("--pid").arg(file("pid")).arg("--vrrp_pid").arg(file("vrrp_pid"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = host.run(move || command.spawn()).expect("keepalived runs (Debian package keepalived)");
        Self { child, _directory: directory }
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        let _ended = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _status = self.child.wait();
    }
}

#[tokio::test]
async fn keepalived_and_ours_take_over_from_each_other() {
    let [one, two] = Host::pair();
    let first = Keepalived::start(&two);
    let mut ours = Director::start(one, 1, vec![Arc::new(router(Family::Ipv4, 100))]);
    ours.becomes(State::Backup).await;
    wait_until_address_is(true, &two);
    assert_eq!(ours.status().await.state, State::Backup);

    drop(first);
    assert_eq!(ours.becomes(State::Active).await.reason, Reason::Silence);

    let _second = Keepalived::start(&two);
    let outranked = Reason::Outranked { by: address(Family::Ipv4, 2), priority: 150 };
    assert_eq!(ours.becomes(State::Backup).await.reason, outranked);
    wait_until_address_is(true, &two);

    let higher = Arc::new(router(Family::Ipv4, 200));
    ours.vrrp.reload(Config { routers: vec![higher] });
    ours.becomes(State::Active).await;
    wait_until_address_is(false, &two);

    ours.vrrp.stop().await;
    wait_until_address_is(true, &two);
}

/// Until it is there, or is not there any more.
fn wait_until_address_is(there: bool, host: &Host) {
    for _ in 0..1000 {
        if host.ip("address show dev eth0").contains("10.0.0.100/32") == there {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("it does not come to that");
}
