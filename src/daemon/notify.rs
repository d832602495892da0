//! What the service manager is told (sd_notify(3)); without one, nothing is sent.
//!
//! A thread of its own sends: while the manager does not read, sending blocks after a few messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::threads;

// What is told last is told before the process ends, if the manager reads.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Tells the service manager where the daemon stands, and waits for nothing.
pub(super) struct Notifier {
    /// None without a service manager, and while the thread ends. Few reloads come while a manager sleeps, so no
    /// bound is needed.
    queue: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    alive_waits: Arc<AtomicBool>,
}

enum Message {
    Ready(String),
    Reloading(Option<NotifyState<'static>>),
    Stopping(&'static str),
    Alive,
}

impl Notifier {
    /// Starts the thread, if there is somebody to tell.
    pub(super) fn start() -> std::io::Result<Self> {
        let alive_waits = Arc::<AtomicBool>::default();
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(Self { queue: None, thread: None, alive_waits });
        }
        let (queue, messages) = channel();
        let waits = Arc::clone(&alive_waits);
        let thread =
            std::thread::Builder::new().name("notify".into()).spawn(move || send(&messages, &waits))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), alive_waits })
    }

    pub(super) fn ready(&self, status: String) {
        self.tell(Message::Ready(status));
    }

    pub(super) fn reloading(&self) {
        self.tell(Message::Reloading(NotifyState::monotonic_usec_now().ok()));
    }

    pub(super) fn stopping(&self, status: &'static str) {
        self.tell(Message::Stopping(status));
    }

    /// One of these that waits is enough.
    pub(super) fn alive(&self) {
        if !self.alive_waits.swap(true, Ordering::Relaxed) {
            self.tell(Message::Alive);
        }
    }

    fn tell(&self, message: Message) {
        if let Some(queue) = &self.queue {
            let (Ok(()) | Err(_)) = queue.send(message);
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            threads::join(thread, LAST_WORDS);
        }
    }
}

/// How often [`Notifier::alive`] is to be called: half of what the service manager allows; none when it does not
/// watch.
pub(super) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn send(messages: &Receiver<Message>, alive_waits: &AtomicBool) {
    for message in messages {
        let sent = match message {
            Message::Ready(status) => sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&status)]),
            Message::Reloading(Some(time)) => sd_notify::notify(&[NotifyState::Reloading, time]),
            Message::Reloading(None) => sd_notify::notify(&[NotifyState::Reloading]),
            Message::Stopping(status) => {
                sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status(status)])
            }
            Message::Alive => {
                alive_waits.store(false, Ordering::Relaxed);
                sd_notify::notify(&[NotifyState::Watchdog])
            }
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "the service manager could not be notified");
        }
    }
}
