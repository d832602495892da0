//! Reads the configuration off the event loop.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock;
use crate::config::{self, Model};

/// What was read and how long that took, or all mistakes.
pub(super) type Loaded = Result<(Model, Duration), String>;

/// One reading at a time; wishes during one are one more reading after it.
pub(super) struct Loader {
    config: Arc<Mutex<config::Loader>>,
    results: mpsc::Sender<Loaded>,
    running: bool,
    again: bool,
}

impl Loader {
    /// Gives each outcome to `results`.
    pub(super) fn new(config: config::Loader, results: mpsc::Sender<Loaded>) -> Self {
        Self { config: Arc::new(Mutex::new(config)), results, running: false, again: false }
    }

    /// Starts a reading; false when one is under way and another will follow.
    pub(super) fn request(&mut self, file: &Path) -> bool {
        if self.running {
            self.again = true;
            return false;
        }
        self.running = true;
        let (config, results, file) = (Arc::clone(&self.config), self.results.clone(), file.to_owned());
        tokio::spawn(async move {
            let load = move || {
                let start = clock::now();
                let mut config = config.lock().unwrap_or_else(PoisonError::into_inner);
                let model = config.load(&file).map_err(|mistakes| mistakes.to_string())?;
                Ok((model, clock::now() - start))
            };
            let loaded = tokio::task::spawn_blocking(load).await;
            let loaded =
                loaded.unwrap_or_else(|error| Err(format!("reading the configuration failed: {error}")));
            let _stopping = results.send(loaded).await;
        });
        true
    }

    /// To be called with each outcome: is another reading wished for?
    pub(super) fn ended(&mut self) -> bool {
        self.running = false;
        std::mem::take(&mut self.again)
    }
}
