//! A small web server whose answers a test switches while it runs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::clock::now;
use crate::sockets::serve_on;

/// Answers every path with the address at which it was asked, unless told otherwise, and counts the requests.
#[derive(Debug, Clone)]
pub struct Web {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// How a path is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// With 200.
    Ok,
    /// With 503.
    Unavailable,
    /// Not at all, on a connection that stays open.
    Hang,
    /// Byte by byte without end.
    Drip,
}

/// A request that was seen.
#[derive(Debug, Clone)]
pub struct Request {
    /// From whom.
    pub peer: SocketAddr,
    /// When.
    pub at: Instant,
    path: String,
}

#[derive(Debug, Default)]
struct Shared {
    /// By path, and at one address only or at all.
    answers: Mutex<BTreeMap<(String, Option<IpAddr>), Answer>>,
    seen: Mutex<Vec<Request>>,
}

impl Web {
    /// On 127.0.0.1.
    pub fn start() -> Self {
        Self::start_on("127.0.0.1:0")
    }

    /// On an address.
    pub fn start_on(listen: &str) -> Self {
        let shared = Arc::<Shared>::default();
        let for_connections = Arc::clone(&shared);
        let address = serve_on(listen, move |stream| {
            let _client_left = for_connections.converse(stream);
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers a path so from now on.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.shared.answers.lock().expect("answers").insert((path.to_owned(), None), answer);
    }

    /// Answers a path so from now on where it is asked at this address.
    pub fn answer_at(&self, ip: IpAddr, path: &str, answer: Answer) {
        self.shared.answers.lock().expect("answers").insert((path.to_owned(), Some(ip)), answer);
    }

    /// The requests for a path so far.
    pub fn seen(&self, path: &str) -> Vec<Request> {
        let seen = self.shared.seen.lock().expect("seen");
        seen.iter().filter(|request| request.path == path).cloned().collect()
    }
}

impl Shared {
    fn answer(&self, path: &str, own: IpAddr) -> Answer {
        let answers = self.answers.lock().expect("answers");
        let found = [Some(own), None].into_iter().find_map(|ip| answers.get(&(path.to_owned(), ip)));
        found.copied().unwrap_or(Answer::Ok)
    }

    /// Request after request until the client leaves or wants no more.
    fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let (peer, own) = (stream.peer_addr()?, stream.local_addr()?);
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head)? == 0 {
                    return Ok(());
                }
            }
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let answer = self.answer(&path, own.ip());
            self.seen.lock().expect("seen").push(Request { peer, at: now(), path });
            let status = match answer {
                Answer::Ok => "200 OK",
                Answer::Unavailable => "503 Service Unavailable",
                Answer::Hang => return reader.read(&mut [0]).map(|_| ()),
                Answer::Drip => return drip(stream),
            };
            let body = own.to_string();
            let length = body.len();
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")?;
            if head.to_ascii_lowercase().contains("connection: close") {
                return Ok(());
            }
        }
    }
}

fn drip(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nX-Drip: ")?;
    loop {
        stream.write_all(b"x")?;
        std::thread::sleep(Duration::from_millis(50));
    }
}
