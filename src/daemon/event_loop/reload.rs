//! Another configuration, and the first.

use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::EventLoop;
use crate::clock;
use crate::config::Model;
use crate::control;
use crate::daemon::loader::Loaded;
use crate::memory;
use crate::plan::keep_fixed;

impl EventLoop {
    /// The first checks and the first table of a large configuration are both a lot of work: the table goes before,
    /// and the service manager hears of a director that listens.
    pub(super) fn begin(&mut self) {
        if let Some(probes) = self.first_probes.take() {
            self.runner.update(probes);
            self.notifier.ready(self.summary());
        }
    }

    pub(super) fn load(&mut self) {
        if self.is_stopping() {
            warn!("told to reload while stopping: the configuration stays");
            return;
        }
        if !self.queues.load.request(&self.file) {
            debug!("a reload is under way; one more will follow it");
            return;
        }
        self.notifier.reloading();
    }

    pub(super) fn loaded(&mut self, now: Instant, result: Loaded) {
        let again = self.queues.load.ended();
        if self.is_stopping() {
            // The service manager has been told of the stop; nothing may take that back.
            return;
        }
        match result {
            Ok((mut model, reading)) => {
                for key in keep_fixed(&self.model.director, &mut model.director) {
                    warn!(key, "this key of [director] takes effect when the director is started anew");
                }
                self.last_error = self.failover.configure(&model).err().map(|error| error.to_string());
                if let Some(error) = &self.last_error {
                    error!(error, "the configuration is in force but for its virtual routers");
                }
                let kept = self.apply(now, model);
                let milliseconds = |duration: Duration| (duration.as_secs_f64() * 1e4).round() / 1e1;
                info!(
                    generation = self.generation,
                    file = %self.file.display(),
                    virtual_servers = self.model.virtual_servers.len(),
                    unchanged = kept,
                    reading_ms = milliseconds(reading),
                    applying_ms = milliseconds(clock::now() - now),
                    "configuration reloaded"
                );
                self.feed.tell(control::Event::Reload { generation: self.generation, error: None });
            }
            Err(mistakes) => {
                error!(file = %self.file.display(), "configuration not reloaded, the old one stays:\n{mistakes}");
                let error = Some(mistakes.clone());
                self.feed.tell(control::Event::Reload { generation: self.generation, error });
                self.last_error = Some(mistakes);
            }
        }
        if again {
            self.load();
        } else {
            self.notifier.ready(self.summary());
        }
    }

    /// Takes another configuration; how many virtual servers stay as they are.
    pub(super) fn apply(&mut self, now: Instant, model: Model) -> usize {
        let kept = model.kept(&self.model);
        let (probes, config) = self.probes.assign(&self.model, &model, &kept);
        let effects = self.engine.reload_part(now, config, &kept);
        match &mut self.first_probes {
            Some(first) => *first = probes,
            None => self.runner.update(probes),
        }
        let before = std::mem::replace(&mut self.model, model);
        self.applied = now;
        self.generation += 1;
        self.take(now, effects);
        for virtual_server in before.virtual_servers.iter().filter(|it| !kept.contains(&it.name)) {
            for key in &virtual_server.listen {
                self.desired.remove(key);
            }
        }
        // What the engine does not know of may be another one: the scheduler, the forwarding.
        let names = self.model.virtual_servers.iter().map(|it| &it.name);
        self.changed.extend(names.filter(|name| !kept.contains(*name)).cloned());
        self.hand_over();
        tokio::task::spawn_blocking(memory::give_back);
        kept.len()
    }
}
