//! Small TCP servers and clients on loopback.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::net::TcpSocket;

const PATIENCE: Duration = Duration::from_secs(20);
/// Below those that Linux gives to clients and to listeners without a wish.
const PORTS: Range<u16> = 10_000..32_000;

/// An address on 127.0.0.1 that nobody has at the moment; see [`free_port_on`].
pub fn free_port() -> SocketAddr {
    let loopback = Ipv4Addr::LOCALHOST.into();
    SocketAddr::new(loopback, free_port_on(loopback))
}

/// A port of `ip`, TCP and UDP, that nobody has at the moment. It stays free: the kernel gives such ports to nobody,
/// and no other call of this process gets the same one.
pub fn free_port_on(ip: IpAddr) -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    // Tests that run at the same time begin at different places.
    let start = std::process::id().wrapping_mul(101);
    let ports = u32::from(PORTS.end - PORTS.start);
    let next = || PORTS.start + ((start.wrapping_add(CALLS.fetch_add(1, Ordering::Relaxed))) % ports) as u16;
    let is_free = |port: &u16| TcpListener::bind((ip, *port)).is_ok() && UdpSocket::bind((ip, *port)).is_ok();
    (0..ports).map(|_| next()).find(is_free).expect("a free port")
}

/// Connects from this local address.
pub fn connect_from(source: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind((source, 0).into())?;
        tokio::time::timeout(PATIENCE, socket.connect(to)).await?
    })?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Serves each connection in a thread of its own until the test ends.
pub fn serve(handle: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    serve_on("127.0.0.1:0", handle)
}

/// As [`serve`] does, on this address.
pub fn serve_on(listen: &str, handle: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(listen).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = handle.clone();
            std::thread::spawn(move || handle(stream));
        }
    });
    address
}

/// A server that sends back whatever it gets.
pub fn echo_server() -> SocketAddr {
    serve(|mut stream| {
        let Ok(mut reader) = stream.try_clone() else { return };
        let _client_left = io::copy(&mut reader, &mut stream);
    })
}

/// Sends a text and waits for its echo.
pub fn echo(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(text.as_bytes())?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer)?;
    if answer == text.as_bytes() { Ok(()) } else { Err(io::Error::other("another text came back")) }
}
