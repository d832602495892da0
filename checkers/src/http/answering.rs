//! A connection of which only the answer matters.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Drops whatever is written, and has nothing to be read before that: hyper takes nothing that was not asked for to be
/// an answer.
#[derive(Debug)]
pub(crate) struct Answering<R> {
    answer: R,
    asked: bool,
    reader: Option<Waker>,
}

impl<R> Answering<R> {
    pub(crate) fn new(answer: R) -> Self {
        Self { answer, asked: false, reader: None }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Answering<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.answer).poll_read(context, buffer)
    }
}

impl<R: Unpin> AsyncWrite for Answering<R> {
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
