//! Everything that the configuration can say about IPVS, as ipvsadm reads it.

use tidegate_integration::director::Director;
use tidegate_integration::lab::{Lab, ipvsadm};

use super::{sorted, virtual_server, wait_for_table};

/// All but `twos`, which the lab's kernel, Linux 6.1 of Debian's user-mode-linux, has no module for; `wlc` is the
/// default, `sh` and `mh` have flags and are further below.
const SCHEDULERS: [&str; 11] = ["rr", "wrr", "lc", "wlc", "dh", "lblc", "lblcr", "sed", "nq", "fo", "ovf"];

struct Case {
    keys: &'static str,
    servers: &'static [&'static str],
    lines: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        keys: "listen = \"10.0.0.1:80\"",
        servers: &[
            "address = \"10.1.0.1:8080\"\nweight = 7",
            "address = \"10.1.0.2:80\"\nweight = 65535\nmax_connections = 100\nresume_below = 60",
            "address = \"10.1.0.3:80\"\nweight = 0\nmax_connections = 10",
            "address = \"10.1.0.4:80\"\nforwarding = \"direct\"",
            "address = \"10.1.0.5:80\"\nforwarding = \"tunnel\"",
            "address = \"10.1.0.6:80\"\nforwarding = { tunnel = \"gue\", port = 6080 }",
            "address = \"10.1.0.7:80\"\nforwarding = { tunnel = \"gue\", port = 6081, checksum = \"sum\" }",
            "address = \"10.1.0.8:80\"\nforwarding = { tunnel = \"gue\", port = 6082, checksum = \"remote\" }",
            "address = \"10.1.0.9:80\"\nforwarding = { tunnel = \"gre\" }",
            "address = \"10.1.0.10:80\"\nforwarding = { tunnel = \"gre\", checksum = \"sum\" }",
            "address = \"[2001:db8::1]:80\"\nforwarding = \"tunnel\"",
        ],
        lines: &[
            "-A -t 10.0.0.1:80 -s wlc",
            "-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 7",
            "-a -t 10.0.0.1:80 -r 10.1.0.2:80 -m -w 65535",
            "-a -t 10.0.0.1:80 -r 10.1.0.3:80 -m -w 0",
            "-a -t 10.0.0.1:80 -r 10.1.0.4:80 -g -w 1",
            "-a -t 10.0.0.1:80 -r 10.1.0.5:80 -i -w 1 --tun-type ipip",
            "-a -t 10.0.0.1:80 -r 10.1.0.6:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
            "-a -t 10.0.0.1:80 -r 10.1.0.7:80 -i -w 1 --tun-type gue --tun-port 6081 --tun-csum",
            "-a -t 10.0.0.1:80 -r 10.1.0.8:80 -i -w 1 --tun-type gue --tun-port 6082 --tun-remcsum",
            "-a -t 10.0.0.1:80 -r 10.1.0.9:80 -i -w 1 --tun-type gre --tun-nocsum",
            "-a -t 10.0.0.1:80 -r 10.1.0.10:80 -i -w 1 --tun-type gre --tun-csum",
            "-a -t 10.0.0.1:80 -r [2001:db8::1]:80 -i -w 1 --tun-type ipip",
        ],
    },
    Case {
        keys: "listen = \"[2001:db8::10]:80\"\npersistence = { timeout = \"90s\", prefix_v6 = 64 }",
        servers: &[
            "address = \"[2001:db8::1]:8080\"",
            "address = \"[2001:db8::2]:80\"\nforwarding = \"direct\"",
            "address = \"[2001:db8::3]:80\"\nforwarding = \"tunnel\"",
            "address = \"10.1.0.1:80\"\nforwarding = { tunnel = \"gue\", port = 6080 }",
        ],
        lines: &[
            "-A -t [2001:db8::10]:80 -s wlc -p 90 -M 64",
            "-a -t [2001:db8::10]:80 -r [2001:db8::1]:8080 -m -w 1",
            "-a -t [2001:db8::10]:80 -r [2001:db8::2]:80 -g -w 1",
            "-a -t [2001:db8::10]:80 -r [2001:db8::3]:80 -i -w 1 --tun-type ipip",
            "-a -t [2001:db8::10]:80 -r 10.1.0.1:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
        ],
    },
    Case {
        keys: "listen = [\"10.0.0.1:53\", \"10.0.0.1:5353\", \"10.0.0.2:53\"]\nprotocol = \"udp\"\none_packet = true",
        servers: &["address = \"10.1.0.1:53\""],
        lines: &[
            "-A -u 10.0.0.1:53 -s wlc -o",
            "-a -u 10.0.0.1:53 -r 10.1.0.1:53 -m -w 1",
            "-A -u 10.0.0.1:5353 -s wlc -o",
            "-a -u 10.0.0.1:5353 -r 10.1.0.1:53 -m -w 1",
            "-A -u 10.0.0.2:53 -s wlc -o",
            "-a -u 10.0.0.2:53 -r 10.1.0.1:53 -m -w 1",
        ],
    },
    Case {
        keys: "listen = \"10.0.0.1:5060\"\nprotocol = \"udp\"\npersistence = { timeout = \"60s\", engine = \"sip\" }",
        servers: &["address = \"10.1.0.1:5060\""],
        lines: &["-A -u 10.0.0.1:5060 -s wlc -p 60 --pe sip", "-a -u 10.0.0.1:5060 -r 10.1.0.1:5060 -m -w 1"],
    },
    Case {
        keys: "listen = \"10.0.0.1:2905\"\nprotocol = \"sctp\"",
        servers: &["address = \"10.1.0.1:2905\""],
        lines: &[
            "-A --sctp-service 10.0.0.1:2905 -s wlc",
            "-a --sctp-service 10.0.0.1:2905 -r 10.1.0.1:2905 -m -w 1",
        ],
    },
    Case {
        keys: "fwmark = 7\nforwarding = \"direct\"\npersistence = { timeout = \"300s\", prefix_v4 = 24 }",
        servers: &["address = \"10.1.0.1:0\""],
        lines: &["-A -f 7 -s wlc -p 300 -M 255.255.255.0", "-a -f 7 -r 10.1.0.1:0 -g -w 1"],
    },
    Case {
        keys: "fwmark = 4294967295\nfwmark_family = \"ipv6\"\nforwarding = \"tunnel\"",
        servers: &["address = \"[2001:db8::1]:0\""],
        // ipvsadm takes marks for signed when it prints them.
        lines: &["-A -f -1 -6 -s wlc", "-a -f -1 -6 -r [2001:db8::1]:0 -i -w 1 --tun-type ipip"],
    },
    Case {
        keys: "listen = \"10.0.0.3:0\"\npersistence = \"30s\"",
        servers: &["address = \"10.1.0.1:0\""],
        lines: &["-A -t 10.0.0.3:0 -s wlc -p 30", "-a -t 10.0.0.3:0 -r 10.1.0.1:0 -m -w 1"],
    },
    Case {
        keys: "listen = \"10.0.0.1:81\"\nscheduler = \"sh\"\nscheduler_flags = [\"fallback\", \"port\"]",
        servers: &["address = \"10.1.0.1:81\""],
        lines: &[
            "-A -t 10.0.0.1:81 -s sh -b sh-fallback,sh-port",
            "-a -t 10.0.0.1:81 -r 10.1.0.1:81 -m -w 1",
        ],
    },
    Case {
        keys: "listen = \"10.0.0.1:82\"\nscheduler = \"mh\"\nscheduler_flags = [\"fallback\", \"port\"]",
        servers: &["address = \"10.1.0.1:82\""],
        lines: &[
            "-A -t 10.0.0.1:82 -s mh -b mh-fallback,mh-port",
            "-a -t 10.0.0.1:82 -r 10.1.0.1:82 -m -w 1",
        ],
    },
    Case {
        keys: "listen = \"10.0.0.1:83\"\nscheduler = \"sh\"\nscheduler_flags = [\"port\"]",
        servers: &["address = \"10.1.0.1:83\""],
        lines: &["-A -t 10.0.0.1:83 -s sh -b sh-port", "-a -t 10.0.0.1:83 -r 10.1.0.1:83 -m -w 1"],
    },
    // No real server, so that the sorry server serves.
    Case {
        keys: "listen = \"10.0.0.1:84\"\nsorry_server = { address = \"10.1.0.9:84\", forwarding = \"direct\" }",
        servers: &[],
        lines: &["-A -t 10.0.0.1:84 -s wlc", "-a -t 10.0.0.1:84 -r 10.1.0.9:84 -g -w 1"],
    },
];

#[test]
fn the_table_is_exactly_what_the_configuration_says() {
    Lab::default().with_program().run(|| {
        // With the protection on, the thresholds are its own.
        let unchecked = |keys: &str| format!("{keys}\ncheck.type = \"none\"\noverload.mode = \"off\"");
        let mut configuration = String::new();
        let mut lines: Vec<String> = Vec::new();
        for (number, Case { keys, servers, lines: expected }) in CASES.iter().enumerate() {
            configuration += &virtual_server(&format!("case-{number}"), &unchecked(keys), servers);
            lines.extend(expected.iter().map(ToString::to_string));
        }
        for (scheduler, port) in SCHEDULERS.iter().zip(9000..) {
            let keys = unchecked(&format!("listen = \"10.0.0.1:{port}\"\nscheduler = \"{scheduler}\""));
            configuration += &virtual_server(scheduler, &keys, &["address = \"10.1.0.1:80\""]);
            lines.push(format!("-A -t 10.0.0.1:{port} -s {scheduler}"));
            lines.push(format!("-a -t 10.0.0.1:{port} -r 10.1.0.1:80 -m -w 1"));
        }
        let _director = Director::start(&configuration);
        wait_for_table(&sorted(lines));

        let thresholds = ipvsadm(&["-Ln", "--thresholds", "-t", "10.0.0.1:80"]);
        let words: Vec<_> = thresholds.split_whitespace().collect();
        for [server, upper, lower] in [["10.1.0.2:80", "100", "60"], ["10.1.0.3:80", "10", "0"]] {
            assert!(words.windows(3).any(|words| words == [server, upper, lower]), "{thresholds}");
        }
    });
}
