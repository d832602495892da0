//! An ordered stop.

use std::sync::Arc;
use std::time::Instant;

use tracing::info;

use super::{EventLoop, Stopping};

impl EventLoop {
    pub(super) fn stop(&mut self, now: Instant, signal: &'static str) {
        let Some(vrrp) = self.failover.vrrp() else {
            info!(signal, "stopping");
            return self.let_go(now);
        };
        info!(signal, "stopping: handing the virtual routers over, and serving until another director does");
        self.notifier.stopping("handing over to the other director");
        self.stopping = Stopping::HandingOver;
        let done = self.hand_over.clone();
        tokio::spawn(async move {
            vrrp.stop().await;
            let _ended = done.send(()).await;
        });
    }

    /// The rest of a stop, once no address of a virtual router is here any more.
    pub(super) fn let_go(&mut self, now: Instant) {
        let grace = self.model.director.shutdown_grace;
        info!(grace_s = grace.as_secs_f64(), "no new connections, those that live may end");
        self.notifier.stopping("waiting for connections to end");
        self.stopping = Stopping::Until(now + grace);
        self.first_probes = None;
        self.runner.update(Arc::default());
        self.dataplanes.stop_accepting();
    }
}
