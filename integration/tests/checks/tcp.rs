use std::net::SocketAddr;
use std::time::Duration;

use tidegate_checkers::{Outcome, Spec};
use tidegate_integration::nginx::free_port;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::written::outcome_within;
use crate::{observe, passed, server};

/// The kernel has answered, and the check is over before the server's program hears of it.
#[tokio::test]
async fn passes_and_leaves_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let observation = observe(listener.local_addr().unwrap(), Spec::Tcp, Duration::from_secs(5)).await;
    assert_eq!(observation.outcome, passed(""));
    // A thread that was held up is heard of, but with a reset.
    if let Ok(accepted) = timeout(Duration::from_millis(300), listener.accept()).await {
        let ended = accepted.unwrap().0.read_u8().await;
        assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn refused() {
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    assert_eq!(observe(address, Spec::Tcp, Duration::from_secs(5)).await.outcome, Outcome::Refused);
}

#[tokio::test]
async fn ipv6() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(observe(address, Spec::Tcp, Duration::from_secs(5)).await.outcome, passed(""));
}

#[tokio::test]
async fn a_full_backlog_is_a_connect_timeout() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        queued.push(stream.unwrap());
        assert!(queued.len() < 10, "the backlog does not fill up");
    }
    let observation = observe(address, Spec::Tcp, Duration::from_millis(500)).await;
    assert_eq!(observation.outcome, Outcome::ConnectTimeout);
    assert!((400..700).contains(&observation.latency.as_millis()), "{:?}", observation.latency);
    let text = outcome_within(Duration::from_millis(500), "silent", address, "type = \"tcp\"").await;
    assert_eq!(text, "timed out in connect");
}

/// On one thread, which the test blocks. Checks that run there cannot know whether the answer was in time; those that
/// have threads of their own do not notice.
#[tokio::test]
async fn a_stall_of_our_own_says_nothing_about_the_server() {
    let address = server::silent().await;
    for (kind, expected) in [
        ("smtp", "not run: our own event loop was "),
        ("http", "timed out in answer: no answer within 300ms"),
    ] {
        tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            std::thread::sleep(Duration::from_secs(1));
        });
        let check = format!("type = \"{kind}\"");
        let outcome = outcome_within(Duration::from_millis(300), "stall", address, &check).await;
        assert!(outcome.starts_with(expected), "{outcome}");
    }
}
