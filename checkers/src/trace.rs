//! How far a check has come: what a timeout or a broken connection says to the operator.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{Outcome, failure, text};

/// Bytes that are kept of what the server sent first in a step.
const FIRST: usize = 512;

/// The steps of a check, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Until the connection stands.
    Connect,
    /// Until TLS is agreed on.
    Handshake,
    /// From the request to the end of the answer's header.
    Header,
    /// Until as much of the body is there as is wanted.
    Body,
    /// Until what [`Trace::expect`] names is there.
    Answer,
}

/// Shared by the check and the layers of its connection.
#[derive(Debug, Clone)]
pub(crate) struct Trace(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    step: Step,
    /// What is waited for in [`Step::Answer`].
    awaited: String,
    /// Bytes received within the step.
    received: usize,
    /// The first of these.
    first: Vec<u8>,
    /// How the connection ended, without where.
    end: Option<Outcome>,
    /// Why what came last is not the answer.
    rejected: Option<String>,
    /// Whether it is right that nothing comes.
    silence_passes: bool,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            step: Step::Connect,
            awaited: String::new(),
            received: 0,
            first: Vec::new(),
            end: None,
            rejected: None,
            silence_passes: false,
        })))
    }

    /// Begins the next step.
    pub(crate) fn enter(&self, step: Step) {
        let mut state = self.state();
        state.step = step;
        state.received = 0;
        state.first.clear();
        state.rejected = None;
    }

    /// Begins to wait for `what`, such as `greeting` or `answer to EHLO`.
    pub(crate) fn expect(&self, what: &str) {
        self.enter(Step::Answer);
        what.clone_into(&mut self.state().awaited);
    }

    /// What is waited for in [`Step::Answer`].
    pub(crate) fn awaited(&self) -> String {
        self.state().awaited.clone()
    }

    /// Notes what was received at the layer of `step`; ignored while another step is under way.
    pub(crate) fn received(&self, step: Step, bytes: &[u8]) {
        let mut state = self.state();
        if state.step == step {
            state.received += bytes.len();
            let room = FIRST.saturating_sub(state.first.len());
            state.first.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// What the server sent first in this step, quoted; none if it sent nothing.
    pub(crate) fn first(&self) -> Option<String> {
        let state = self.state();
        (!state.first.is_empty()).then(|| text::quote(&state.first))
    }

    /// Whether what the server sent first in this step begins with `bytes`.
    pub(crate) fn begins_with(&self, bytes: &[u8]) -> bool {
        self.state().first.starts_with(bytes)
    }

    /// How the connection ended; none while it stands.
    pub(crate) fn end(&self) -> Option<Outcome> {
        let state = self.state();
        Some(state.located(state.end.clone()?))
    }

    /// Notes why something that came is not the answer, which may still come.
    pub(crate) fn reject(&self, why: String) {
        self.state().rejected = Some(why);
    }

    /// From now on it is right that nothing comes until the deadline.
    pub(crate) fn let_silence_pass(&self) {
        self.state().silence_passes = true;
    }

    /// What it means that nothing better came than what was rejected.
    pub(crate) fn rejected(&self) -> Option<Outcome> {
        self.state().rejected.clone().map(Outcome::WrongAnswer)
    }

    /// What it means that the deadline, `timeout` after the start, has passed.
    pub(crate) fn timed_out(&self, timeout: Duration) -> Outcome {
        let state = self.state();
        match (&state.rejected, state.step) {
            (Some(why), _) => Outcome::WrongAnswer(format!("{why}; nothing else came within {timeout:?}")),
            (None, _) if state.silence_passes => {
                Outcome::Passed(format!("nothing came within {timeout:?}, not even an error"))
            }
            (None, Step::Connect) => Outcome::ConnectTimeout,
            (None, _) => Outcome::AnswerTimeout(format!("{} within {timeout:?}", state.unfinished())),
        }
    }

    /// What it means that a read or a write failed.
    pub(crate) fn broken(&self, error: &io::Error) -> Outcome {
        self.state().located(failure::established(error))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn too_large(&self, most: usize) {
        let first = self.first().map(|first| format!("; it begins with {first}")).unwrap_or_default();
        let why = format!("the answer is larger than {most} bytes{first}");
        self.state().end.get_or_insert(Outcome::WrongAnswer(why));
    }

    fn ended(&self, error: &io::Error) {
        self.state().end.get_or_insert_with(|| failure::established(error));
    }
}

impl State {
    /// Adds how far the check was to how its connection ended.
    fn located(&self, end: Outcome) -> Outcome {
        let add = |text| format!("{text}: {}", self.unfinished());
        match end {
            Outcome::Reset(text) => Outcome::Reset(add(text)),
            Outcome::Unreachable(text) => Outcome::Unreachable(add(text)),
            other => other,
        }
    }

    /// What is missing, and how much of it was there.
    fn unfinished(&self) -> String {
        let received = self.received;
        match self.step {
            Step::Connect => "no connection".to_owned(),
            Step::Handshake => format!("TLS handshake not complete after {received} bytes"),
            Step::Header if received == 0 => "no answer".to_owned(),
            Step::Header => format!("header not complete after {received} bytes"),
            Step::Body => format!("body not complete after {received} bytes"),
            Step::Answer if received == 0 => format!("no {}", self.awaited),
            Step::Answer => format!("{} not complete after {received} bytes", self.awaited),
        }
    }
}

/// A connection that tells the trace what is received over it and how it ends.
pub(crate) struct Traced<S> {
    io: S,
    step: Step,
    trace: Trace,
    /// Bytes received, and the most that they may be.
    size: usize,
    most: usize,
}

impl<S> Traced<S> {
    /// `step` is the one for which the bytes at this layer count.
    pub(crate) fn new(io: S, step: Step, trace: &Trace) -> Self {
        Self { io, step, trace: trace.clone(), size: 0, most: usize::MAX }
    }

    /// For whoever would read without end: an error once there are more than `most` bytes.
    pub(crate) fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    fn note<T>(&self, result: &Poll<io::Result<T>>) {
        if let Poll::Ready(Err(error)) = result {
            self.trace.ended(error);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Traced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.size > self.most {
            self.trace.too_large(self.most);
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        let before = buffer.filled().len();
        let room = buffer.remaining();
        let result = Pin::new(&mut self.io).poll_read(context, buffer);
        self.note(&result);
        if let Poll::Ready(Ok(())) = result {
            let bytes = &buffer.filled()[before..];
            if bytes.is_empty() && room > 0 {
                self.trace.ended(&io::ErrorKind::UnexpectedEof.into());
            }
            self.trace.received(self.step, bytes);
            self.size += bytes.len();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Traced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(context, bytes);
        self.note(&result);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
