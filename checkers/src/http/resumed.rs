//! An exchange that hyper takes over in the middle, on a thread that has no runtime: the request has been sent and the
//! answer has begun.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::{Buf, Bytes};
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::trace::Trace;
use crate::{HttpSpec, Outcome, Target};

/// To be polled whenever the socket may have more to read.
pub(crate) struct Resumed {
    exchange: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    woken: Arc<Woken>,
    trace: Trace,
}

impl Resumed {
    /// `socket` does not block, and `received` came over it.
    pub(crate) fn new(socket: Socket, received: Bytes, target: Target, spec: HttpSpec) -> Self {
        let (trace, rest) = (Trace::new(), Rest { socket, received, asked: false, reader: None });
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

/// The rest of a connection: what hyper writes is the request, which has been sent. It takes nothing for the answer
/// before that.
struct Rest {
    socket: Socket,
    received: Bytes,
    asked: bool,
    reader: Option<Waker>,
}

impl AsyncRead for Rest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        if !self.received.is_empty() {
            let size = self.received.len().min(buffer.remaining());
            buffer.put_slice(&self.received[..size]);
            self.received.advance(size);
            return Poll::Ready(Ok(()));
        }
        match (&self.socket).read(buffer.initialize_unfilled()) {
            Ok(size) => {
                buffer.advance(size);
                Poll::Ready(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for Rest {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
