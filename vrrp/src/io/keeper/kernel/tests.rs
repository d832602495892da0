use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use crate::io::namespace::Host;

#[test]
fn what_is_known_after_lost_notices_is_what_is_there() {
    let [host, _peer] = Host::pair();
    let (reports, _reports) = tokio::sync::mpsc::channel(1);
    let (mut kernel, mut lossy) =
        host.run(|| (Kernel::open(Reports(reports)).unwrap(), Monitor::open().unwrap()));
    let mut script = String::from("address add 10.0.0.7/24 dev eth0\n");
    for _ in 0..15_000 {
        script += "address add 127.1.1.1/32 dev lo\naddress delete 127.1.1.1/32 dev lo\n";
    }
    let _infallible = writeln!(script, "address delete 10.0.0.7/24 dev eth0");
    host.run(move || {
        let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        ip.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(ip.wait().unwrap().success());
    });
    assert!(lossy.read().is_err_and(|error| is_overrun(&error)), "some were lost");
    assert!(kernel.take_notices(&Ledger::default()).unwrap());
    let eth0 = kernel.links.named("eth0").unwrap();
    assert_eq!(eth0.prefix("10.0.0.1".parse().unwrap(), 0), Some(24));
    assert_eq!(eth0.prefix("10.0.0.7".parse().unwrap(), 0), None);
}
