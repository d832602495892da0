//! NTP checks against chrony, which is told to leave our clock alone.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tidegate_integration::peer::{self, Peer};
use tidegate_integration::sockets::free_port;

use crate::datagrams::answering;
use crate::written::{outcome, outcome_within};

fn chrony(keys: &str) -> (Peer, SocketAddr) {
    let address = free_port();
    let directory = peer::directory();
    let path = directory.path().display();
    let configuration = format!(
        "port {}\nbindaddress 127.0.0.1\nallow 127.0.0.1\ncmdport 0\nbindcmdaddress /\npidfile {path}/pid\n{keys}\n",
        address.port()
    );
    std::fs::write(directory.path().join("chrony.conf"), configuration).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let ready = || {
        let mut packet = [0; 48];
        packet[0] = 0x23;
        client.send_to(&packet, address).is_ok() && client.recv(&mut packet).is_ok()
    };
    let arguments = ["-d", "-x", "-u", "root", "-f", "chrony.conf"];
    (Peer::start_until("chrony", "chronyd", &arguments, directory, ready), address)
}

#[tokio::test]
async fn right_and_wrong() {
    let (_chrony, address) = chrony("local stratum 8");
    assert_eq!(outcome("right", address, "type = \"ntp\"").await, "passed: stratum 8");
    let text = outcome("right", address, "type = \"ntp\"\nmax_stratum = 8\nmax_offset = \"10s\"").await;
    assert!(text.starts_with("passed: stratum 8, 0."), "{text}");
    let text = outcome("too deep", address, "type = \"ntp\"\nmax_stratum = 7").await;
    assert_eq!(text, "wrong answer: stratum 8 instead of at most 7");
}

#[tokio::test]
async fn without_a_source() {
    let (_chrony, address) = chrony("");
    let text = outcome("not synchronised", address, "type = \"ntp\"").await;
    assert_eq!(text, "wrong answer: the server's clock is not synchronised (leap 3, stratum 0)");
}

/// A reply whose clock says 1970, and one to somebody else.
#[tokio::test]
async fn far_off_and_forged() {
    let reply = |request: &[u8], origin: &[u8]| {
        let mut packet = [&[0x24, 1][..], &[0; 22], origin, &[0; 16]].concat();
        assert_eq!((packet.len(), request.len()), (48, 48));
        for at in [32, 40] {
            packet[at..at + 4].copy_from_slice(&2_208_988_800_u32.to_be_bytes());
        }
        packet
    };
    let address = answering(move |request| vec![reply(request, &request[40..])]).await;
    let keys = "type = \"ntp\"\nmax_offset = \"1s\"";
    let text = outcome("far off", address, keys).await;
    assert!(
        text.starts_with("wrong answer: stratum 1, ") && text.ends_with(" s behind instead of at most 1s"),
        "{text}"
    );

    let address = answering(move |request| vec![reply(request, b"nonsense")]).await;
    let text = outcome_within(Duration::from_millis(300), "forged", address, keys).await;
    assert!(text.starts_with("wrong answer: a reply to another request"), "{text}");
}
