//! Every kind of packet of ours, as Wireshark reads it.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tidegate_integration::clock::wait_for;
use tidegate_integration::failover::{Program, Router, held, wait_for_holder};
use tidegate_integration::namespace::Lan;

use super::{HOSTS, PATIENCE, SHORT};

/// What host 1 sends, as host 2 receives it.
struct Capture {
    process: Child,
    folder: TempDir,
}

impl Capture {
    fn start(lan: &Lan) -> Self {
        let folder = TempDir::new().unwrap();
        let (file, log) = (folder.path().join("packets"), folder.path().join("log"));
        let process = lan
            .command(2, "tcpdump")
            .args(["-i", "eth0", "-U", "-Z", "root", "-w"])
            .arg(file)
            .args(["ether", "src", "02:77:00:00:00:01"])
            .stderr(std::fs::File::create(&log).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .expect("ip runs (Debian package iproute2)");
        wait_for("tcpdump to listen (Debian package tcpdump)", PATIENCE, || {
            std::fs::read_to_string(&log).unwrap().contains("listening").then_some(())
        });
        Self { process, folder }
    }

    /// A line for each packet that passes the filter, of these fields.
    fn read(&self, settings: &[&str], filter: &str, fields: &[&str]) -> Vec<String> {
        let mut command = Command::new("tshark");
        command.arg("-r").arg(self.folder.path().join("packets")).args([
            "-n",
            "-o",
            "ip.check_checksum:TRUE",
        ]);
        command.args(settings).args([
            "-Y",
            filter,
            "-T",
            "fields",
            "-E",
            "separator=/s",
            "-E",
            "occurrence=f",
        ]);
        for field in fields {
            command.args(["-e", field]);
        }
        let output = command.output().expect("tshark runs (Debian package tshark)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn stop(&mut self) {
        let _ended_already = self.process.kill();
        self.process.wait().unwrap();
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
fn wireshark_calls_every_packet_well_formed() {
    let second = Duration::from_secs(1);
    let hosts = HOSTS.to_vec();
    let routers = [
        Router { version: 2, ..Router::new(101, second) },
        Router { version: 2, password: Some("secret"), ..Router::new(102, second) },
        Router::new(103, SHORT),
        Router { hosts: hosts.clone(), ..Router::new(104, SHORT) },
        Router { bare_checksum: true, ..Router::new(105, SHORT) },
        Router { ipv6: true, ..Router::new(106, SHORT) },
        Router { ipv6: true, hosts, ..Router::new(107, SHORT) },
    ];
    let lan = Lan::new(2);
    let mut capture = Capture::start(&lan);
    let director = Program::Tidegate.start(&lan, 1, &routers, 100);
    wait_for_holder("alone", &lan, &[1], &routers, 1, PATIENCE);
    director.stop();
    assert_eq!(held(&lan, 1, &routers).len(), 0);
    capture.stop();

    let none: [&str; 0] = [];
    // What the kernel itself sends on the interface included.
    assert_eq!(capture.read(&[], "_ws.malformed", &["frame.number", "_ws.col.Info"]), none);

    // 1 is "good". Wireshark wants the checksum of RFC 5798 or that of RFC 9568 everywhere.
    let bare = ["-o", "vrrp.v3_checksum_as_in_v2:TRUE"];
    for router in &routers {
        let id = router.id;
        let settings: &[_] = if router.bare_checksum { &bare } else { &[] };
        let read = |filter: &str, fields: &[&str]| {
            capture.read(settings, &format!("vrrp.virt_rtr_id == {id} && {filter}"), fields)
        };
        let all = read("vrrp", &["vrrp.checksum.status", "vrrp.version", "vrrp.type"]);
        let expected = format!("1 {} 1", router.version);
        assert!(all.len() > 1 && all.iter().all(|it| *it == expected), "{id}: {all:?}");
        let others = "!(ip.ttl == 255 && ip.dsfield == 0xc0 && ip.checksum.status == 1) && \
                      !(ipv6.hlim == 255 && ipv6.tclass == 0xc0)";
        assert_eq!(read(others, &["ip.ttl", "ip.dsfield", "ipv6.hlim", "ipv6.tclass"]), none, "{id}");
        let to = match (router.hosts.is_empty(), router.ipv6) {
            (true, false) => "ip.dst == 224.0.0.18 && eth.dst == 01:00:5e:00:00:12",
            (true, true) => "ipv6.dst == ff02::12 && eth.dst == 33:33:00:00:00:12",
            (false, false) => "ip.dst == 10.77.0.2",
            (false, true) => "ipv6.dst == fd77::2",
        };
        assert_eq!(read(to, &["vrrp.prio"]).len(), all.len(), "{id}");
        let priorities = read("vrrp", &["vrrp.prio"]);
        assert_eq!(priorities.iter().filter(|it| *it == "0").count(), 1, "{id}: {priorities:?}");
        assert_eq!(priorities.first().map(String::as_str), Some("100"), "{id}");
        let address = router.address();
        let announced = match router.ipv6 {
            false => format!(
                "arp.isgratuitous == 1 && arp.opcode == 1 && eth.dst == ff:ff:ff:ff:ff:ff && \
                 arp.src.proto_ipv4 == {address}"
            ),
            true => format!(
                "icmpv6.type == 136 && icmpv6.checksum.status == 1 && icmpv6.nd.na.flag.o == 1 && \
                 icmpv6.nd.na.flag.s == 0 && ipv6.dst == ff02::1 && ipv6.hlim == 255 && \
                 icmpv6.opt.linkaddr == 02:77:00:00:00:01 && icmpv6.nd.na.target_address == {address}"
            ),
        };
        let announced = capture.read(&[], &announced, &["frame.number"]);
        assert!(announced.len() >= 5, "{id}: {announced:?}");
    }
    let password = capture.read(&[], "vrrp.virt_rtr_id == 102", &["vrrp.auth_type", "vrrp.auth_string"]);
    assert!(password.iter().all(|it| it == "1 secret"), "{password:?}");
}
