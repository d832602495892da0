//! Connections to the control socket.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use super::routes::{self, Endless};
use super::{Feed, Request};
use crate::dataplane::CounterSources;
use crate::memory;

// A client that does nothing wrong needs a fraction of each.
const MAX_CONNECTIONS: usize = 32;
const MAX_HEAD: usize = 16 * 1024;
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
const CONNECTION_DEADLINE: Duration = Duration::from_secs(60);

/// Serves until the future is dropped.
pub async fn serve(
    listener: UnixListener,
    requests: mpsc::Sender<Request>,
    counters: CounterSources,
    feed: Feed,
) -> std::io::Result<()> {
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let router = routes::router(requests, counters, feed);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the control socket could not accept a connection; trying again");
                sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let endless = Endless::default();
        let service = TowerToHyperService::new(router.clone().layer(axum::Extension(endless.clone())));
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_DEADLINE)
                .max_buf_size(MAX_HEAD)
                .serve_connection(TokioIo::new(stream), service);
            // A client that misbehaves or leaves is its own affair.
            tokio::select! {
                _ended = connection => {}
                () = deadline(&endless) => {}
            }
            // An answer may have been large.
            let _done = tokio::task::spawn_blocking(memory::give_back).await;
            drop(place);
        });
    }
}

async fn deadline(endless: &Endless) {
    sleep(CONNECTION_DEADLINE).await;
    if endless.is_declared() {
        std::future::pending().await
    }
}
