//! Real servers that do one thing after another.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// A client that says nothing holds a worker for so long.
const SILENCE: Duration = Duration::from_secs(5);

/// What one server can do.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// Requests that it works on at the same time; the others wait in the kernel's queue, checks among them.
    pub workers: usize,
    /// For each request; `/health` takes none once it is its turn.
    pub service: Duration,
    /// Length of the queue.
    pub backlog: u32,
}

/// Running servers, one HTTP/1.0 request a connection. All end when dropped.
#[derive(Debug)]
pub struct Servers {
    // First, so that the tasks end before what they run on.
    tasks: Mutex<Vec<JoinSet<()>>>,
    addresses: Vec<SocketAddr>,
    _runtime: Runtime,
}

impl Default for Server {
    /// 10 requests a second.
    fn default() -> Self {
        Self { workers: 4, service: Duration::from_millis(400), backlog: 200 }
    }
}

impl Servers {
    /// Starts them on 127.0.0.1, on a thread of their own.
    pub fn start(servers: &[Server]) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), servers)
    }

    /// Starts them on this address of the caller's network namespace.
    pub fn start_on(address: IpAddr, servers: &[Server]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (mut tasks, mut addresses) = (Vec::new(), Vec::new());
        for server in servers {
            let _inside = runtime.enter();
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind((address, 0).into()).expect("a port");
            let listener = Arc::new(socket.listen(server.backlog).expect("a listener"));
            addresses.push(listener.local_addr().expect("an address"));
            let mut workers = JoinSet::new();
            for _ in 0..server.workers {
                workers.spawn(work(Arc::clone(&listener), server.service));
            }
            tasks.push(workers);
        }
        Self { tasks: tasks.into(), addresses, _runtime: runtime }
    }

    /// In the order of the start.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends one as a crash does: its connections are reset, later ones refused.
    pub fn kill(&self, number: usize) {
        self.tasks.lock().expect("tasks")[number].abort_all();
    }
}

async fn work(listener: Arc<TcpListener>, service: Duration) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _client_left = answer(stream, service).await;
    }
}

async fn answer(mut stream: TcpStream, service: Duration) -> std::io::Result<()> {
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
            if stream.read_buf(&mut head).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
            }
        }
        Ok(())
    };
    tokio::time::timeout(SILENCE, read).await??;
    if !head.starts_with(b"GET /health") {
        tokio::time::sleep(service).await;
    }
    stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nreal").await?;
    stream.shutdown().await
}
