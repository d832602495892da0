use std::net::SocketAddr;
use std::time::Duration;

use tidegate_checkers::{Outcome, Spec};
use tidegate_integration::nginx::free_port;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

use crate::{observe, passed, server};

#[tokio::test]
async fn connects_and_resets() {
    let (sender, mut ends) = mpsc::unbounded_channel();
    let address = server::start(move |mut stream| {
        let sender = sender.clone();
        async move { sender.send(stream.read_u8().await).unwrap() }
    })
    .await;
    let observation = observe(address, Spec::Tcp, Duration::from_secs(5)).await;
    assert_eq!(observation.outcome, passed(""));
    assert_eq!(ends.recv().await.unwrap().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
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
}

/// On one thread, so that blocking it stalls the check's timer.
#[tokio::test]
async fn a_stall_of_our_own_says_nothing_about_the_server() {
    let address = server::silent().await;
    tokio::spawn(async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        std::thread::sleep(Duration::from_secs(1));
    });
    let spec = Spec::Http(Box::new(crate::get()));
    match observe(address, spec, Duration::from_millis(300)).await.outcome {
        Outcome::NotRun(text) => assert!(text.starts_with("our own event loop was "), "{text}"),
        other => panic!("{other:?}"),
    }
}
