//! Hosts for tests: each a thread in a network namespace of its own, which is gone with the last that is in it.

use std::num::NonZeroU32;
use std::process::Command;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use rustix::net::netdevice::name_to_index;

type Errand = Box<dyn FnOnce() + Send>;

/// A host. Descriptors that were opened there may be used anywhere.
pub(in crate::io) struct Host {
    errands: Sender<Errand>,
    thread: u32,
}

impl Host {
    pub(in crate::io) fn new() -> Self {
        let (errands, received) = channel::<Errand>();
        let (tell, told) = sync_channel(1);
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("network namespaces need root");
            tell.send(rustix::thread::gettid()).unwrap();
            received.into_iter().for_each(|errand| errand());
        });
        let thread = told.recv().unwrap().as_raw_nonzero().get().unsigned_abs();
        let this = Self { errands, thread };
        this.ip("link set lo up");
        this
    }

    /// Two hosts on one wire, `10.0.0.1` and `10.0.0.2`, `fe80::1` and `fe80::2` on `eth0`.
    pub(in crate::io) fn pair() -> [Self; 2] {
        let hosts = [Self::new(), Self::new()];
        Self::connect([&hosts[0], &hosts[1]]);
        hosts
    }

    /// Makes the wire of a pair, also anew after either end was deleted.
    pub(in crate::io) fn connect([first, second]: [&Self; 2]) {
        first.ip(&format!("link add eth0 type veth peer name eth0 netns {}", second.thread));
        for (host, number) in [(first, 1), (second, 2)] {
            host.ip("link set eth0 addrgenmode none");
            host.ip(&format!("address add 10.0.0.{number}/24 dev eth0"));
            host.ip(&format!("address add fe80::{number}/64 dev eth0 nodad"));
        }
        for host in [first, second] {
            host.ip("link set eth0 up");
        }
        // Until then the kernel drops what is sent.
        for host in [first, second] {
            while !host.ip("link show dev eth0").contains("state UP") {
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Makes `slow0`, a link that is up and keeps what it is given.
    pub(in crate::io) fn add_slow_link(&self) {
        self.ip("link add slow0 type veth peer name slow1");
        self.ip("link set slow1 up");
        self.ip("link set slow0 up");
        let queue = "qdisc add dev slow0 root tbf rate 8bit burst 1500 limit 100000000".split(' ');
        let slowed = self.run(move || Command::new("tc").args(queue).status()).unwrap();
        assert!(slowed.success(), "tc runs (Debian package iproute2)");
    }

    /// What is done there.
    pub(in crate::io) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = sync_channel(1);
        self.errands.send(Box::new(move || tell.send(work()).unwrap())).unwrap();
        told.recv().expect("what is done on a host does not panic")
    }

    /// Runs `ip`; what it printed.
    pub(in crate::io) fn ip(&self, words: &str) -> String {
        let arguments: Vec<_> = words.split(' ').map(str::to_owned).collect();
        let output = self.run(move || Command::new("ip").args(arguments).output());
        let output = output.expect("ip runs (Debian package iproute2)");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {words}: {stderr}(network namespaces need root)");
        String::from_utf8(output.stdout).unwrap()
    }

    /// An interface's index.
    pub(in crate::io) fn index(&self, interface: &'static str) -> NonZeroU32 {
        let index = self.run(move || {
            let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None).unwrap();
            name_to_index(socket, interface)
        });
        NonZeroU32::new(index.expect("the interface is there")).unwrap()
    }
}
