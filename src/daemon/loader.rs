//! Reads the configuration off the event loop.

use std::path::Path;

use tokio::sync::mpsc;

use crate::config::{self, Model};

/// One reading at a time; wishes during one are one more reading after it.
pub(super) struct Loader {
    results: mpsc::Sender<Result<Model, String>>,
    running: bool,
    again: bool,
}

impl Loader {
    /// Gives each outcome to `results`.
    pub(super) fn new(results: mpsc::Sender<Result<Model, String>>) -> Self {
        Self { results, running: false, again: false }
    }

    /// Starts a reading; false when one is under way and another will follow.
    pub(super) fn request(&mut self, file: &Path) -> bool {
        if self.running {
            self.again = true;
            return false;
        }
        self.running = true;
        let (results, file) = (self.results.clone(), file.to_owned());
        tokio::spawn(async move {
            let load = move || config::load(&file).map_err(|mistakes| mistakes.to_string());
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
