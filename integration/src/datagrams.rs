//! What a client sees of a failover: it asks every millisecond, and whoever has the address answers with its name.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock::{now, wait_for};
use crate::namespace::{Lan, in_namespace};

const INTERVAL: Duration = Duration::from_millis(1);

/// Answers on a host with the host's number until the process ends, whenever it holds the address.
pub fn answer(lan: &Lan, host: u8, service: SocketAddr) {
    let socket = in_namespace(&lan.host(host), || {
        // Before it holds the address.
        for family in ["ipv4", "ipv6"] {
            std::fs::write(format!("/proc/sys/net/{family}/ip_nonlocal_bind"), "1").expect("a sysctl");
        }
        UdpSocket::bind(service).expect("a socket")
    });
    std::thread::spawn(move || {
        let mut query = [0; 16];
        while let Ok((_, client)) = socket.recv_from(&mut query) {
            // A host without a way back loses the answer, as it should.
            let _ = socket.send_to(&[host], client);
        }
    });
}

/// A client that asks all the time.
#[derive(Debug)]
pub struct Client {
    answers: Arc<Mutex<Vec<Answer>>>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Who answered when.
#[derive(Debug, Clone, Copy)]
struct Answer {
    at: Instant,
    host: u8,
}

/// A time without answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Between two answers.
    pub length: Duration,
    /// Who gave the one before.
    pub before: u8,
    /// Who gave the one after.
    pub after: u8,
}

impl Client {
    /// Begins to ask from a host, and waits for the first answer.
    pub fn start(lan: &Lan, host: u8, service: SocketAddr) -> Self {
        let any = if service.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = in_namespace(&lan.host(host), || UdpSocket::bind(any).expect("a socket"));
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        let (answers, ended) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let listening = {
            let (socket, answers) = (socket.try_clone().expect("a socket"), Arc::clone(&answers));
            until(&ended, move || {
                let mut host = [0];
                if socket.recv(&mut host).is_ok() {
                    lock(&answers).push(Answer { at: now(), host: host[0] });
                }
            })
        };
        let mut next = now();
        let asking = until(&ended, move || {
            next = now().max(next + INTERVAL);
            std::thread::sleep(next.saturating_duration_since(now()));
            // While nobody has the address it cannot be sent.
            let _ = socket.send_to(&[0], service);
        });
        let client = Self { answers, ended, threads: vec![listening, asking] };
        wait_for("the first answer", Duration::from_secs(20), || client.last());
        client
    }

    /// Who answered last.
    pub fn last(&self) -> Option<u8> {
        lock(&self.answers).last().map(|answer| answer.host)
    }

    /// Waits until this host answers.
    pub fn wait_for(&self, host: u8, limit: Duration) {
        wait_for(&format!("an answer of host {host}"), limit, || (self.last() == Some(host)).then_some(()));
    }

    /// The longest time without an answer that ended after this moment.
    pub fn longest_gap(&self, since: Instant) -> Gap {
        let answers = lock(&self.answers);
        let gaps = answers.windows(2).filter(|pair| pair[1].at > since).map(|pair| Gap {
            length: pair[1].at - pair[0].at,
            before: pair[0].host,
            after: pair[1].host,
        });
        gaps.max().unwrap_or_default()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

fn until(ended: &Arc<AtomicBool>, mut step: impl FnMut() + Send + 'static) -> JoinHandle<()> {
    let ended = Arc::clone(ended);
    std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            step();
        }
    })
}

fn lock(answers: &Mutex<Vec<Answer>>) -> MutexGuard<'_, Vec<Answer>> {
    answers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
