//! A small HTTP/1.1 client that hides nothing: no retries, every failure is an error.

use std::io::{self, BufRead, BufReader, Read, Write};
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

/// A connection that is kept from request to request.
#[derive(Debug)]
pub struct Kept(BufReader<TcpStream>);

impl Kept {
    /// Over a new connection.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&address, DEADLINE)?)
    }

    /// Over this connection.
    pub fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// `GET /`; gives the body of an answer with a Content-Length, whatever its status.
    pub fn get(&mut self) -> io::Result<String> {
        write!(self.0.get_mut(), "GET / HTTP/1.1\r\nHost: test\r\n\r\n")?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        String::from_utf8(body).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}
