//! One request and its answer over UDP.
//!
//! The socket is connected and its port is the kernel's choice, so that only datagrams from the target's address and
//! port are seen. One that is no answer to the request may come from somebody else who guessed the port: it is passed
//! over, but remembered for the case that nothing better comes.

use std::net::UdpSocket as StdSocket;

use socket2::Socket;
use tokio::net::UdpSocket;

use crate::trace::Trace;
use crate::{Outcome, Target, failure, socket};

/// Datagrams that are passed over before the server is told off; a flood of them must not keep us busy.
const STRAY: usize = 64;

/// Sends `request` and gives each datagram that comes, of which at most `most` bytes are kept, to `read`, until that
/// takes one for the answer. An error of `read` says why the datagram is no answer. `what` is waited for.
pub(crate) async fn ask<T>(
    target: &Target,
    request: &[u8],
    most: usize,
    what: &str,
    trace: &Trace,
    read: impl FnMut(&[u8]) -> Result<T, String>,
) -> Result<T, Outcome> {
    exchange(socket::datagram(target)?, target, request, most, what, trace, read).await
}

/// The same over a socket that is connected already.
pub(crate) async fn exchange<T>(
    socket: Socket,
    target: &Target,
    request: &[u8],
    most: usize,
    what: &str,
    trace: &Trace,
    mut read: impl FnMut(&[u8]) -> Result<T, String>,
) -> Result<T, Outcome> {
    let socket = UdpSocket::from_std(StdSocket::from(socket))
        .map_err(|error| failure::own(&error, "watch a socket"))?;
    trace.expect(what);
    socket.send(request).await.map_err(|error| failure::connect(&error, target.address))?;
    let mut buffer = vec![0; most];
    for _ in 0..STRAY {
        let size = socket.recv(&mut buffer).await.map_err(|error| failure::connecting(&error))?;
        match read(&buffer[..size]) {
            Ok(answer) => return Ok(answer),
            Err(why) => trace.reject(why),
        }
    }
    Err(trace.rejected().unwrap_or_else(|| Outcome::WrongAnswer(format!("no {what}"))))
}
