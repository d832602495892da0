//! A real DNS server, and queries written by hand.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::clock::wait_for;

const NAME: &[u8] = b"\x03who\x04test\x00";

/// A running dnsmasq that answers for `who.test` with an address of its own. Killed when dropped.
#[derive(Debug)]
pub struct Dnsmasq {
    process: Child,
    address: SocketAddr,
}

impl Dnsmasq {
    /// Listens on `address`, UDP and TCP, and asks nobody else.
    ///
    /// # Panics
    ///
    /// When dnsmasq is not installed or does not answer within ten seconds.
    pub fn start(address: SocketAddr, answer: Ipv4Addr) -> Self {
        let process = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=nobody"])
            .args(["--no-resolv", "--no-hosts", "--bind-interfaces"])
            .arg(format!("--port={}", address.port()))
            .arg(format!("--listen-address={}", address.ip()))
            .arg(format!("--address=/who.test/{answer}"))
            .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start dnsmasq ({error}): install dnsmasq (Debian: dnsmasq-base)")
            });
        let mut server = Self { process, address };
        wait_for("dnsmasq to answer", Duration::from_secs(10), || {
            if let Ok(Some(status)) = server.process.try_wait() {
                panic!("dnsmasq ended with {status}");
            }
            Client::new().ask(address, Duration::from_millis(500)).ok()
        });
        server
    }

    /// Makes it silent: it takes queries and answers none.
    pub fn stop(&self) {
        let sent = Command::new("kill").args(["-STOP", &self.process.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks for `who.test` from one port of its own.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    last: u16,
}

impl Client {
    /// On a port that nobody has.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn new() -> Self {
        Self { socket: UdpSocket::bind("0.0.0.0:0").expect("a port"), last: 0 }
    }

    /// Sends a query and waits for its answer, which must come from the address that was asked. The server's own
    /// address.
    pub fn ask(&mut self, server: SocketAddr, patience: Duration) -> io::Result<Ipv4Addr> {
        self.last += 1;
        let id = self.last.to_be_bytes();
        // RFC 1035 §4.1: recursion desired, one question, for an A record (1) of the Internet (1).
        let mut query = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], NAME].concat();
        query.extend([0, 1, 0, 1]);
        self.socket.send_to(&query, server)?;
        self.socket.set_read_timeout(Some(patience))?;
        let mut answer = [0; 512];
        loop {
            let (length, from) = self.socket.recv_from(&mut answer)?;
            if answer[..2] != id {
                // To a query that was given up.
                continue;
            }
            if from != server {
                return Err(io::Error::other(format!("{server} was asked and {from} answers")));
            }
            let wrong = || io::Error::other(format!("not an answer with one address: {answer:?}"));
            let [.., a, b, c, d] = answer[..length] else { return Err(wrong()) };
            // One answer record, the last of it its address.
            let one_answer = answer[3] & 0xf == 0 && answer[6..8] == [0, 1] && length == query.len() + 16;
            return if one_answer { Ok(Ipv4Addr::new(a, b, c, d)) } else { Err(wrong()) };
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}
