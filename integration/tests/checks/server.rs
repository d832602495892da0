//! Servers that do what real ones only do when they are broken.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves every connection with `serve`, for as long as the test's runtime lives.
pub(crate) async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Reads the request, answers each with the same pieces, 20 ms apart, and closes.
pub(crate) async fn answering(pieces: &[&str]) -> SocketAddr {
    let pieces: Vec<String> = pieces.iter().map(|&piece| piece.to_owned()).collect();
    start(move |mut stream| {
        let pieces = pieces.clone();
        async move {
            read_request(&mut stream).await;
            for piece in pieces {
                // The client may have seen enough.
                if stream.write_all(piece.as_bytes()).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await
}

/// Reads the request, answers with `head` and then a byte each 100 ms for ever.
pub(crate) async fn dripping(head: &'static str) -> SocketAddr {
    start(move |mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
}

/// Accepts connections and never says anything.
pub(crate) async fn silent() -> SocketAddr {
    start(|mut stream| async move {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await
}

/// Everything up to the empty line.
pub(crate) async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(request).unwrap()
}
