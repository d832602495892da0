//! Servers over UDP that do what real ones only do when they are broken, and every type of check that talks to them.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_integration::sockets::free_port;
use tokio::net::UdpSocket;

use crate::written::outcome_within;

/// Gives each datagram to `answer` and sends what that makes of it, for as long as the test's runtime lives.
pub(crate) async fn answering(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
            for datagram in answer(&buffer[..size]) {
                // The client may have seen enough.
                let _ = socket.send_to(&datagram, from).await;
            }
        }
    });
    address
}

/// A check of each type, and what is missing when the server says nothing.
const CHECKS: [(&str, &str); 4] = [
    ("type = \"dns\"\nquery = \"www.example\"", "no answer to A www.example. over UDP"),
    ("type = \"radius\"\nrequest = \"status\"\nsecret = \"s\"", "no reply to Status-Server"),
    ("type = \"ntp\"", "no reply"),
    ("type = \"sip\"", "no answer to OPTIONS"),
];

#[tokio::test]
async fn refused() {
    for (check, _) in CHECKS {
        let outcome = outcome_within(Duration::from_secs(10), "refused", free_port(), check).await;
        assert_eq!(outcome, "connection refused");
    }
}

#[tokio::test]
async fn silent() {
    let address = answering(|_| Vec::new()).await;
    for (check, missing) in CHECKS {
        let text = outcome_within(Duration::from_millis(300), "silent", address, check).await;
        assert_eq!(text, format!("timed out in answer: {missing} within 300ms"));
    }
}

/// What is no answer is passed over for as long as there is time, and then said.
#[tokio::test]
async fn garbage() {
    for garbage in [vec![], vec![0], vec![0xff; 4096]] {
        let datagrams = vec![garbage];
        let address = answering(move |_| datagrams.clone()).await;
        for (check, _) in CHECKS {
            let text = outcome_within(Duration::from_millis(300), "garbage", address, check).await;
            assert!(text.starts_with("wrong answer: "), "{text}");
            assert!(text.ends_with("; nothing else came within 300ms"), "{text}");
        }
    }
}

/// Not even that is done for ever.
#[tokio::test]
async fn flood() {
    let address = answering(|_| vec![vec![0xff; 100]; 200]).await;
    for (check, _) in CHECKS {
        let start = tokio::time::Instant::now();
        let text = outcome_within(Duration::from_secs(20), "flood", address, check).await;
        assert!(text.starts_with("wrong answer: ") && !text.contains("nothing else"), "{text}");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}
