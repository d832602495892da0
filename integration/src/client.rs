//! A small HTTP/1.1 client that hides nothing: one connection a request, every failure is an error.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);

/// `GET path`; gives the body of a 200.
pub fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| broken("no complete answer"))?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(broken("not a 200"));
    }
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").map(str::trim).map(str::to_owned)
        })
        .and_then(|length| length.parse::<usize>().ok());
    match length {
        Some(length) if length != body.len() => Err(broken("the body is not whole")),
        _ => Ok(body.to_owned()),
    }
}
