//! What was learned about real servers, kept over a restart.
//!
//! Nothing depends on it: a director that finds no such file, or a broken one, learns anew.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tidegate_engine::Learned;
use tokio::task::JoinHandle;
use tracing::{info, warn};

const VERSION: u32 = 1;
const INTERVAL: Duration = Duration::from_secs(60);
/// A larger file is none of ours: 40,000 real servers take 8 MB.
const LONGEST: u64 = 256 << 20;

/// Where it is kept, and when it was.
pub(super) struct StateFile {
    path: Option<PathBuf>,
    due: Instant,
    writing: Option<JoinHandle<std::io::Result<()>>>,
    failed: bool,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    learned: Learned,
}

impl StateFile {
    pub(super) fn new(now: Instant, path: Option<PathBuf>) -> Self {
        Self { path, due: now + INTERVAL, writing: None, failed: false }
    }

    /// What it holds, if it can be used.
    pub(super) fn read(&self) -> Option<Learned> {
        let path = self.path.as_ref()?;
        match read(path) {
            Ok(learned) => {
                let real_servers = learned.real_servers.len();
                info!(file = %path.display(), real_servers, "took over what was learned about real servers");
                Some(learned)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!(file = %path.display(), %error, "what was learned before cannot be used; learning anew");
                None
            }
        }
    }

    /// Writes if it is time to. Must be called inside the runtime.
    pub(super) async fn keep(&mut self, now: Instant, learned: impl FnOnce() -> Learned) {
        if now < self.due || self.writing.as_ref().is_some_and(|it| !it.is_finished()) {
            return;
        }
        self.finish().await;
        self.due = now + INTERVAL;
        self.write(learned());
    }

    /// Writes now and waits until it is done.
    pub(super) async fn keep_last(&mut self, learned: Learned) {
        self.finish().await;
        self.write(learned);
        self.finish().await;
    }

    fn write(&mut self, learned: Learned) {
        let Some(path) = self.path.clone() else { return };
        self.writing = Some(tokio::task::spawn_blocking(move || write(&path, learned)));
    }

    async fn finish(&mut self) {
        let Some(writing) = self.writing.take() else { return };
        let result = writing.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        match (&result, &self.path) {
            (Err(error), Some(path)) if !self.failed => {
                warn!(file = %path.display(), %error, "cannot keep what was learned; trying again every minute");
            }
            (Ok(()), Some(path)) if self.failed => {
                info!(file = %path.display(), "what was learned can be kept again");
            }
            _ => {}
        }
        self.failed = result.is_err();
    }
}

fn read(path: &Path) -> std::io::Result<Learned> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(LONGEST).read_to_end(&mut text)?;
    let content: Content = serde_json::from_slice(&text)?;
    if content.version == VERSION {
        Ok(content.learned)
    } else {
        Err(std::io::Error::other(format!("its version is {}, not {VERSION}", content.version)))
    }
}

/// A reader finds the old one or the new one.
fn write(path: &Path, learned: Learned) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(&serde_json::to_vec(&Content { version: VERSION, learned })?)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use tidegate_engine::LearnedServer;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_broken_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("learned.json");
        let server = LearnedServer {
            virtual_server: "web".into(),
            real_server: "192.0.2.1:80".parse().unwrap(),
            cap: Some(5.25),
            residence: 0.4,
            latency: None,
        };
        let learned = Learned { real_servers: vec![server] };
        assert_eq!(read(&path).unwrap_err().kind(), std::io::ErrorKind::NotFound);
        write(&path, learned.clone()).unwrap();
        assert_eq!(read(&path).unwrap(), learned);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);

        let text = std::fs::read_to_string(&path).unwrap();
        for broken in [text.replace("\"version\":1", "\"version\":2"), text[..text.len() / 2].to_owned()] {
            std::fs::write(&path, broken).unwrap();
            assert!(read(&path).is_err());
        }
    }
}
