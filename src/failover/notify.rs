//! Notification scripts: one at a time, in the order of what happened, never on VRRP's thread.

use std::sync::Arc;

use tidegate_vrrp::Transition;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::watch::describe;
use crate::config::Notify;

// What a script that hangs may hold up. Beyond it news is lost, the newest first, and the log says so.
const WAITING: usize = 1024;

/// Hands over what is to be told.
pub(super) struct Notifications {
    queue: Sender<News>,
    task: JoinHandle<()>,
}

struct News {
    notify: Notify,
    transition: Transition,
}

impl Notifications {
    /// Starts the task. To be called inside the runtime.
    pub(super) fn start() -> Self {
        let (queue, receiver) = channel(WAITING);
        Self { queue, task: tokio::spawn(deliver(receiver)) }
    }

    /// Nothing more will be told; the task ends when the last script has.
    pub(super) fn end(self) -> JoinHandle<()> {
        self.task
    }

    pub(super) fn tell(&self, notify: &Notify, transition: Transition) {
        let router = Arc::clone(&transition.router);
        if self.queue.try_send(News { notify: notify.clone(), transition }).is_err() {
            warn!(virtual_router = %router, "too many notifications wait for a script: this one is not run");
        }
    }
}

async fn deliver(mut news: Receiver<News>) {
    while let Some(News { notify, transition }) = news.recv().await {
        let (router, state) = (&transition.router, transition.to.to_string());
        let mut command = notify.command;
        command.arguments.extend([router.to_string(), state.clone()]);
        let environment = [
            ("TIDEGATE_VIRTUAL_ROUTER", router.to_string()),
            ("TIDEGATE_FROM", transition.from.to_string()),
            ("TIDEGATE_STATE", state.clone()),
            ("TIDEGATE_REASON", transition.reason.to_string()),
        ];
        let program = command.arguments.first().cloned().unwrap_or_default();
        match command.run(&environment, notify.timeout).await {
            Ok(ended) if ended.status.is_some_and(|status| status.success()) => {
                info!(virtual_router = %router, state, program, "notified");
            }
            Ok(ended) => {
                let reason = describe(&ended);
                warn!(virtual_router = %router, state, program, reason, "the notification script failed");
            }
            Err(error) => {
                warn!(virtual_router = %router, state, program, %error, "the notification script cannot be run");
            }
        }
    }
}
