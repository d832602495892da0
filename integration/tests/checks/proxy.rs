//! HTTP through a proxy that is the real server.

use std::net::SocketAddr;

use tidegate_integration::nginx::Nginx;
use tidegate_integration::peer::{Peer, directory};
use tidegate_integration::pki::{Authority, Validity};
use tidegate_integration::sockets::free_port;

use crate::server;
use crate::written::outcome;

fn tinyproxy() -> (Peer, SocketAddr) {
    let (directory, address) = (directory(), free_port());
    let file = directory.path().join("tinyproxy.conf").display().to_string();
    std::fs::write(&file, format!("Port {}\nListen 127.0.0.1\nAllow 127.0.0.1\n", address.port())).unwrap();
    (Peer::start("tinyproxy-bin", "tinyproxy", &["-d", "-c", &file], directory, address), address)
}

#[tokio::test]
async fn tunnels() {
    let authority = Authority::new();
    let leaf = authority.issue("www", "DNS:www.example.com", Validity::Now);
    let (plain, secure) = (free_port(), free_port());
    let _nginx = Nginx::start(&format!(
        "server {{ listen {plain}; listen {secure} ssl; ssl_certificate {}; ssl_certificate_key {}; return 204; }}",
        leaf.certificate.display(),
        leaf.key.display()
    ));
    let (_proxy, address) = tinyproxy();
    let check = format!("type = \"http\"\ntunnel = \"{plain}\"\n");
    assert_eq!(outcome("tunnel", address, &check).await, "passed: 204 No Content");
    let ca = authority.certificate().display();
    let https =
        format!("type = \"https\"\ntunnel = \"{secure}\"\nhost = \"www.example.com\"\nca_file = \"{ca}\"\n");
    assert_eq!(outcome("tunnel", address, &https).await, "passed: 204 No Content");
    let text =
        outcome("tunnel to nobody", address, &format!("type = \"http\"\ntunnel = \"{}\"", free_port())).await;
    assert!(
        text.starts_with("wrong answer: the answer to CONNECT is \"HTTP/1.") && text.contains(" 50"),
        "{text}"
    );
    let text = outcome("no proxy", plain, &check).await;
    assert!(text.starts_with("wrong answer: the answer to CONNECT is \"HTTP/1.1 40"), "{text}");
    let eager = server::answering(&["HTTP/1.1 200 OK\r\n\r\nhello"]).await;
    let text = outcome("more than was asked for", eager, &check).await;
    assert_eq!(text, "wrong answer: 5 bytes more than the answer");
}
