use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_checkers::{
    HttpSpec, HttpVersion, Observation, Outcome, Probe, Runner, Settings, Spec, TlsSpec,
};
use tidegate_integration::nginx::{Nginx, free_port};
use tidegate_integration::pki::{Authority, Validity};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::{get, passed, probe, server};

const SETTINGS: Settings = Settings { max_concurrent: 100, threads: 2, seed: 1 };

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn start() -> (Runner, mpsc::Receiver<Vec<Observation>>) {
    let (sender, receiver) = mpsc::channel(1);
    (Runner::start(SETTINGS, sender), receiver)
}

fn every(interval: Duration, id: u64, address: SocketAddr, spec: Spec) -> Arc<Probe> {
    Arc::new(Probe { id, interval, ..probe(address, spec, Duration::from_secs(5)) })
}

fn http(spec: HttpSpec) -> Spec {
    Spec::Http(Box::new(spec))
}

async fn next(observations: &mut mpsc::Receiver<Vec<Observation>>) -> Vec<Observation> {
    timeout(Duration::from_secs(10), observations.recv())
        .await
        .expect("an observation in time")
        .expect("it runs")
}

/// A server that counts its requests.
async fn counting() -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let address = server::start(move |mut stream| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move {
            server::read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    })
    .await;
    (address, count)
}

#[tokio::test]
async fn observes_each_probe_again_and_again() {
    let (runner, mut observations) = start();
    let (up, _) = counting().await;
    let down = ([127, 0, 0, 1], free_port()).into();
    runner.update(vec![every(ms(50), 1, up, http(get())), every(ms(50), 2, down, Spec::Tcp)]);
    let mut seen = [0, 0];
    while seen.iter().any(|&times| times < 5) {
        for observation in next(&mut observations).await {
            match observation.probe {
                1 => assert_eq!(observation.outcome, passed("204 No Content")),
                _ => assert_eq!(observation.outcome, Outcome::Refused),
            }
            assert!(observation.latency < Duration::from_secs(5));
            seen[observation.probe as usize - 1] += 1;
        }
    }
    let stats = runner.stats();
    assert!(stats.probes == 2 && stats.started >= 10, "{stats:?}");
}

#[tokio::test]
async fn an_update_with_the_same_probes_starts_nothing() {
    let (runner, mut observations) = start();
    let (address, count) = counting().await;
    for _ in 0..5 {
        runner.update(vec![every(Duration::from_secs(60), 1, address, http(get()))]);
        sleep(ms(50)).await;
    }
    assert_eq!(next(&mut observations).await.len(), 1);
    sleep(ms(200)).await;
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_probe_that_is_gone_is_cancelled_without_a_word() {
    let (runner, mut observations) = start();
    let (sender, mut ends) = mpsc::unbounded_channel();
    let address = server::start(move |mut stream| {
        let sender = sender.clone();
        async move {
            server::read_request(&mut stream).await;
            sender.send("asked").unwrap();
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            sender.send("ended").unwrap();
        }
    })
    .await;
    runner.update(vec![every(Duration::from_secs(60), 1, address, http(get()))]);
    assert_eq!(timeout(Duration::from_secs(5), ends.recv()).await.unwrap(), Some("asked"));
    assert_eq!(runner.stats().running, 1);
    runner.update(Vec::new());
    assert_eq!(timeout(Duration::from_secs(2), ends.recv()).await.unwrap(), Some("ended"));
    assert!(timeout(ms(200), observations.recv()).await.is_err());
    assert_eq!((runner.stats().running, runner.stats().probes), (0, 0));
}

#[tokio::test]
async fn a_slow_receiver_holds_nothing_up_and_gets_the_latest() {
    let (runner, mut observations) = start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        for count in 1.. {
            if timeout(Duration::from_secs(5), listener.accept()).await.is_err() {
                return count;
            }
            if count == 20 {
                break;
            }
        }
        20
    });
    runner.update(vec![every(ms(20), 1, address, http(get()))]);
    assert_eq!(server.await.unwrap(), 20, "checks go on although nobody receives");
    sleep(ms(300)).await;
    let old = next(&mut observations).await;
    assert!(old.len() == 1 && matches!(old[0].outcome, Outcome::Reset(_)), "{old:?}");
    let latest = next(&mut observations).await;
    assert_eq!((latest.len(), &latest[0].outcome), (1, &Outcome::Refused));
}

#[tokio::test]
async fn dropping_it_stops_everything() {
    let (runner, mut observations) = start();
    runner.update(vec![every(Duration::from_secs(60), 1, server::silent().await, http(get()))]);
    sleep(ms(100)).await;
    drop(runner);
    assert_eq!(timeout(Duration::from_secs(2), observations.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn certificate_files_are_read_at_each_update() {
    let authority = Authority::new();
    let leaf = authority.issue("ip", "IP:127.0.0.1", Validity::Now);
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let _nginx = Nginx::start(&format!(
        "server {{ listen {address} ssl; ssl_certificate {}; ssl_certificate_key {}; return 204; }}",
        leaf.certificate.display(),
        leaf.key.display()
    ));
    let ca_file = authority.certificate().with_file_name("later.pem");
    let tls = TlsSpec { ca_file: Some(ca_file.clone()), ..TlsSpec::default() };
    let probe = every(ms(50), 1, address, http(HttpSpec { tls: Some(tls), ..get() }));

    let (runner, mut observations) = start();
    runner.update(vec![Arc::clone(&probe)]);
    assert!(matches!(next(&mut observations).await[0].outcome, Outcome::NotRun(_)));
    std::fs::copy(authority.certificate(), ca_file).unwrap();
    runner.update(vec![probe]);
    while matches!(next(&mut observations).await[0].outcome, Outcome::NotRun(_)) {}
    assert_eq!(next(&mut observations).await[0].outcome, passed("204 No Content"));
}

/// Servers that do not close are left alone after the deadline, and those that say too much before it.
#[tokio::test]
async fn no_connection_outlives_its_check() {
    for (version, talk) in [(HttpVersion::Http10, ""), (HttpVersion::Http11, ""), (HttpVersion::Http2, PING)]
    {
        let (sender, mut ends) = mpsc::unbounded_channel();
        let address = server::start(move |mut stream| {
            let sender = sender.clone();
            async move {
                if talk.is_empty() {
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                } else {
                    // Never reads, so that what we say in return fills the buffers and cannot be flushed.
                    while stream.write_all(talk.repeat(1000).as_bytes()).await.is_ok() {}
                }
                sender.send(()).unwrap();
            }
        })
        .await;
        let outcome = crate::observe(address, http(HttpSpec { version, ..get() }), ms(1500)).await.outcome;
        match outcome {
            Outcome::AnswerTimeout(_) => assert!(talk.is_empty()),
            Outcome::WrongAnswer(why) => assert!(why.starts_with("the answer is larger than"), "{why}"),
            other => panic!("{other:?}"),
        }
        timeout(Duration::from_secs(2), ends.recv())
            .await
            .unwrap_or_else(|_| panic!("{version:?} is still open"));
    }
}

/// SETTINGS and PING of HTTP/2 (RFC 9113 §6), both to be acknowledged.
const PING: &str = "\0\0\0\x04\0\0\0\0\0\0\0\x08\x06\0\0\0\0\0abcdefgh";
