//! An exchange that hyper takes over in the middle, on a thread that has no runtime: the request has been sent and the
//! answer has begun.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::{Buf, Bytes};
use socket2::Socket;
use tokio::io::{AsyncRead, ReadBuf};

use super::MAX_HEADER;
use super::answering::Answering;
use crate::trace::Trace;
use crate::{HttpSpec, Outcome, Target};

/// Reads, of at most [`MAX_HEADER`], before other checks have their turn.
const TURN: usize = 4;

/// To be polled whenever the socket may have more to read.
pub(crate) struct Resumed {
    exchange: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    woken: Arc<Woken>,
    trace: Trace,
}

impl Resumed {
    /// `socket` does not block, and `received` came over it. `again` has this polled once more after others, though
    /// nothing new comes.
    pub(crate) fn new(
        socket: Socket,
        received: Bytes,
        target: Target,
        spec: HttpSpec,
        again: impl Fn(&Socket) -> io::Result<()> + Send + Unpin + 'static,
    ) -> Self {
        let trace = Trace::new();
        // What hyper writes is the request, which has been sent.
        let rest = Answering::new(Rest { socket, received, reads: 0, again });
        let own = trace.clone();
        let exchange = Box::pin(async move {
            let (Ok(outcome) | Err(outcome)) = super::exchange(rest, &target, &spec, &own).await;
            outcome
        });
        Self { exchange, woken: Arc::default(), trace }
    }

    /// The outcome, if there is one by now.
    pub(crate) fn poll(&mut self) -> Option<Outcome> {
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(outcome) = self.exchange.as_mut().poll(&mut context) {
                return Some(outcome);
            }
            // The parts of the exchange wake each other; for the socket there is whoever calls.
            if !self.woken.0.swap(false, Ordering::Relaxed) {
                return None;
            }
        }
    }

    /// How far it has come.
    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }
}

#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What has been received, and the rest that comes.
struct Rest<A> {
    socket: Socket,
    received: Bytes,
    /// In this turn.
    reads: usize,
    again: A,
}

impl<A: Fn(&Socket) -> io::Result<()> + Unpin> AsyncRead for Rest<A> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.received.is_empty() {
            let size = self.received.len().min(buffer.remaining());
            buffer.put_slice(&self.received[..size]);
            self.received.advance(size);
            return Poll::Ready(Ok(()));
        }
        if self.reads == TURN {
            self.reads = 0;
            return match (self.again)(&self.socket) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            };
        }
        self.reads += 1;
        let room = buffer.remaining().min(MAX_HEADER);
        match (&self.socket).read(buffer.initialize_unfilled_to(room)) {
            Ok(size) => {
                buffer.advance(size);
                Poll::Ready(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use regex::Regex;
    use socket2::{Domain, Type};

    use super::super::plain::tests::spec;
    use super::*;
    use crate::Body;

    #[test]
    fn interim_answers_without_end() {
        let (socket, mut server) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let server = std::thread::spawn(move || {
            let bytes = interim.repeat(1000);
            // 5 MB at most, so that this ends in any case.
            (0..200).any(|_| server.write_all(bytes.as_bytes()).is_err())
        });
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let again = move |_: &Socket| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let target = Target { address: "192.0.2.1:80".parse().unwrap(), bind: None, fwmark: None };
        let body = Some(Body::Matches(Regex::new("x").unwrap()));
        let spec = HttpSpec { body, max_body: 1 << 20, ..spec() };
        let mut resumed = Resumed::new(socket, interim.into(), target, spec, again);
        let outcome = loop {
            if let Some(outcome) = resumed.poll() {
                break outcome;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let Outcome::WrongAnswer(text) = outcome else { panic!("{outcome:?}") };
        assert!(
            text.starts_with("the answer is larger than 2228224 bytes; it begins with \"HTTP/1.1 100 "),
            "{text}"
        );
        assert!(turns.load(Ordering::Relaxed) >= 4, "others have their turns");
        drop(resumed);
        assert!(server.join().unwrap(), "the rest is not read");
    }
}
