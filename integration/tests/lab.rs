//! The lab itself: a scenario's result comes back, whatever it is, and IPVS and its peers work there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::director::Director;
use tidegate_integration::keepalived::Keepalived;
use tidegate_integration::lab::{self, Lab, ipvsadm, ipvsadm_save, output_of, timed};
use tidegate_integration::namespace::{Lan, in_namespace};
use tidegate_integration::sockets::serve_on;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn nat_is_balanced_and_counted() {
    lab::run(|| {
        let lan = Lan::new(4);
        let (director, client, servers) = (lan.host(1), lan.host(2), [3, 4]);
        // The client lives in another network, so that the servers answer through the director.
        output_of("ip", &["-n", &director, "address", "add", "10.99.0.1/24", "dev", "eth0"]);
        output_of("ip", &["-n", &client, "address", "add", "10.99.0.2/24", "dev", "eth0"]);
        in_namespace(&director, || {
            for setting in ["ip_forward=1", "conf.all.send_redirects=0", "conf.eth0.send_redirects=0"] {
                output_of("sysctl", &["-qw", &format!("net.ipv4.{setting}")]);
            }
            ipvsadm(&["-A", "-t", "10.99.0.1:80", "-s", "rr"]);
        });
        for server in servers {
            let host = lan.host(server);
            output_of("ip", &["-n", &host, "route", "add", "default", "via", "10.77.0.1"]);
            in_namespace(&host, || {
                serve_on(&format!("10.77.0.{server}:80"), |mut stream| {
                    let own = stream.local_addr().unwrap().to_string();
                    stream.write_all(own.as_bytes()).unwrap();
                })
            });
            in_namespace(&director, || {
                ipvsadm(&["-a", "-t", "10.99.0.1:80", "-r", &format!("10.77.0.{server}:80"), "-m"]);
            });
        }
        let table = [
            "-A -t 10.99.0.1:80 -s rr",
            "-a -t 10.99.0.1:80 -r 10.77.0.3:80 -m -w 1",
            "-a -t 10.99.0.1:80 -r 10.77.0.4:80 -m -w 1",
        ];
        assert_eq!(in_namespace(&director, ipvsadm_save), table);

        let (mut answers, took) =
            timed(|| in_namespace(&client, || (0..20).map(|_| ask()).collect::<Vec<_>>()));
        println!("20 connections in {took:?}");
        answers.sort();
        assert_eq!(answers, [["10.77.0.3:80"; 10], ["10.77.0.4:80"; 10]].concat());

        // The kernel sums its counters up every two seconds.
        let counted = ["10.99.0.1:80 20", "10.77.0.3:80 10", "10.77.0.4:80 10"];
        wait_for("the counters", PATIENCE, || {
            (in_namespace(&director, connections) == counted).then_some(())
        });
    });
}

/// Each address of the table with the connections that it got.
fn connections() -> Vec<String> {
    let statistics = ipvsadm(&["-Ln", "--stats", "--exact"]);
    let lines = statistics.lines().skip(3).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.map(|words| format!("{} {}", words[1], words[2])).collect()
}

fn ask() -> String {
    let service: SocketAddr = "10.99.0.1:80".parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&service, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn keepalived_fills_the_table() {
    lab::run(|| {
        let configuration = |weight: u32| {
            format!(
                "virtual_server 10.0.0.1 80 {{\n lb_algo wrr\n lb_kind NAT\n protocol TCP\n \
                 real_server 127.0.0.1 8080 {{\n weight {weight}\n }}\n}}\n"
            )
        };
        let table = |weight| {
            let destination = format!("-a -t 10.0.0.1:80 -r 127.0.0.1:8080 -m -w {weight}");
            ["-A -t 10.0.0.1:80 -s wrr".to_owned(), destination]
        };
        let keepalived = Keepalived::checkers(&configuration(7));
        wait_for("the table", PATIENCE, || (ipvsadm_save() == table(7)).then_some(()));
        keepalived.reload(&configuration(9));
        wait_for("the new weight", PATIENCE, || (ipvsadm_save() == table(9)).then_some(()));
        drop(keepalived);
        assert_eq!(ipvsadm_save(), [""; 0]);
    });
}

#[test]
fn a_director_runs_in_the_lab() {
    Lab::default().with_program().run(|| {
        let director = Director::start(
            "[[virtual_server]]\nname = \"web\"\nlisten = \"127.0.0.1:80\"\n\
             [[virtual_server.real_server]]\naddress = \"127.0.0.1:8080\"\n",
        );
        assert_eq!(director.virtual_server("web")["name"], "web");
    });
}

#[test]
fn nothing_written_in_the_lab_stays() {
    lab::run(|| std::fs::write("/etc/tidegate-lab", "for this boot").unwrap());
    assert!(std::env::var_os("TIDEGATE_LAB").is_some() || !std::fs::exists("/etc/tidegate-lab").unwrap());
}

#[test]
fn a_panic_in_the_lab_comes_back_with_its_text() {
    let failure = Lab::default().try_run(|| panic!("the sky is {}", "falling")).unwrap_err();
    assert_eq!(failure.reason, "the scenario failed in the lab");
    assert!(failure.console.contains("the sky is falling"), "{failure}");
}

#[test]
fn a_kernel_panic_ends_the_lab_at_once() {
    let failure = Lab::default().try_run(|| std::fs::write("/proc/sysrq-trigger", "c").unwrap()).unwrap_err();
    assert_eq!(failure.reason, "the lab's kernel panicked", "{failure}");
}

#[test]
fn a_hang_ends_at_the_deadline_and_leaves_no_process() {
    let deadline = Duration::from_secs(10);
    let lab = Lab::default().with_deadline(deadline).with_memory(333);
    let (result, took) = timed(|| {
        lab.try_run(|| {
            println!("still here");
            std::thread::sleep(Duration::MAX);
        })
    });
    let failure = result.unwrap_err();
    assert_eq!(failure.reason, "the lab was not done after 10s");
    assert!(took < deadline * 2, "{took:?}");
    assert!(failure.console.contains("still here"), "{failure}");
    let left = std::fs::read_dir("/proc").unwrap().filter(|process| {
        let command = std::fs::read(process.as_ref().unwrap().path().join("cmdline"));
        command.is_ok_and(|words| String::from_utf8_lossy(&words).contains("mem=333M"))
    });
    assert_eq!(left.count(), 0, "processes are left");
}
