//! What virtual routers track besides interfaces and quorums: each is watched by a task of its own, so that a script
//! that hangs or a disk that does not answer delays nothing else.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate_checkers::{Command, Ended};
use tidegate_vrrp::Tracked;
use tidegate_vrrp::io::Vrrp;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::config::{Watch, open_regular};

// More digits than a priority can use.
const NUMBER: u64 = 16;

/// The tasks, by what they watch.
#[derive(Default)]
pub(super) struct Watches(BTreeMap<Arc<str>, (Watch, Task)>);

struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watches {
    /// From now on these are watched; what was watched in the same way before goes on.
    pub(super) fn update(&mut self, vrrp: &Arc<Vrrp>, watches: &BTreeMap<Arc<str>, Watch>) {
        self.0.retain(|key, (watch, _)| watches.get(key) == Some(watch));
        for (key, watch) in watches {
            if self.0.contains_key(key) {
                continue;
            }
            // The others are told by the event loop and by VRRP's own thread.
            if matches!(watch, Watch::Script { .. } | Watch::File { .. } | Watch::Process { .. }) {
                let teller = Teller { vrrp: Arc::clone(vrrp), key: Arc::clone(key), told: Tracked::Unknown };
                let task = Task(tokio::spawn(teller.watch(watch.clone())).abort_handle());
                self.0.insert(Arc::clone(key), (watch.clone(), task));
            }
        }
    }
}

/// Tells what has changed.
struct Teller {
    vrrp: Arc<Vrrp>,
    key: Arc<str>,
    told: Tracked,
}

impl Teller {
    async fn watch(mut self, watch: Watch) {
        match watch {
            Watch::Interface(_) | Watch::Quorum(_) => {}
            Watch::Script { command, interval, timeout, rise, fall } => {
                self.script(command, interval, timeout, rise, fall).await;
            }
            Watch::File { path, interval } => {
                self.look(interval, move || number(&path).map(Tracked::Number)).await;
            }
            Watch::Process { program, least, interval } => {
                self.look(interval, move || Ok(verdict(enough_run(&program, least)?))).await;
            }
        }
    }

    /// Looks again and again. What cannot be seen stays as it was.
    async fn look(
        &mut self,
        every: Duration,
        look: impl Fn() -> std::io::Result<Tracked> + Clone + Send + 'static,
    ) {
        let mut ticks = ticks(every);
        let mut complained = false;
        loop {
            ticks.tick().await;
            let Ok(seen) = spawn_blocking(look.clone()).await else { continue };
            match seen {
                Ok(state) => {
                    complained = false;
                    self.tell(state, "");
                }
                Err(error) => self.cannot(&mut complained, "it cannot be looked at", &error),
            }
        }
    }

    async fn script(&mut self, command: Command, every: Duration, limit: Duration, rise: u32, fall: u32) {
        let environment = [("TIDEGATE_TRACK", self.key.to_string())];
        let mut ticks = ticks(every);
        let (mut in_a_row, mut last) = (0, None);
        let mut complained = false;
        loop {
            ticks.tick().await;
            let ended = match command.run(&environment, limit).await {
                Ok(ended) => ended,
                Err(error) => {
                    self.cannot(&mut complained, "the script cannot be run", &error);
                    continue;
                }
            };
            complained = false;
            let passed = ended.status.is_some_and(|status| status.success());
            in_a_row = if last == Some(passed) { in_a_row + 1 } else { 1 };
            last = Some(passed);
            let needed = match self.told {
                Tracked::Unknown => 1,
                _ if passed => rise,
                _ => fall,
            };
            if in_a_row >= needed {
                self.tell(verdict(passed), &describe(&ended));
            }
        }
    }

    /// What was known stays. Where nothing was, routers wait for a verdict, and must not do so for ever.
    fn cannot(&mut self, complained: &mut bool, what: &str, error: &std::io::Error) {
        if self.told == Tracked::Unknown {
            self.tell(Tracked::Down, &format!("{what}: {error}"));
        } else if !std::mem::replace(complained, true) {
            warn!(track = %self.key, %error, "{what}; its last state stays");
        }
    }

    fn tell(&mut self, state: Tracked, reason: &str) {
        if state == self.told {
            return;
        }
        let track = &self.key;
        match state {
            Tracked::Down => warn!(%track, reason, "what is tracked is down"),
            Tracked::Up => info!(%track, reason, "what is tracked is up"),
            Tracked::Number(number) => info!(%track, number, "what is tracked says another number"),
            Tracked::Unknown => {}
        }
        self.told = state;
        self.vrrp.track(Arc::clone(track), state);
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn verdict(up: bool) -> Tracked {
    if up { Tracked::Up } else { Tracked::Down }
}

/// `exit status: 1, it wrote "no route"`
pub(super) fn describe(ended: &Ended) -> String {
    let how = ended.status.map_or_else(|| "it took too long and was killed".to_owned(), |it| it.to_string());
    match ended.output.as_str() {
        "\"\"" => how,
        output => format!("{how}, it wrote {output}"),
    }
}

/// The number in a file; 0 where there is no file, 1 where it is empty, as `touch` leaves it.
fn number(path: &Path) -> std::io::Result<i32> {
    let file = match open_regular(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    let mut text = String::new();
    file.take(NUMBER).read_to_string(&mut text)?;
    match text.trim() {
        "" => Ok(1),
        text => {
            text.parse().map_err(|_| std::io::Error::other(format!("there is no number in it: {text:?}")))
        }
    }
}

/// Whether so many processes run this program: by the name of the process, or of the program it was started as.
fn enough_run(program: &str, least: u32) -> std::io::Result<bool> {
    let mut found = 0;
    for entry in std::fs::read_dir("/proc")? {
        let folder = entry?.path();
        let is_process =
            folder.file_name().is_some_and(|it| it.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        // It may end at any moment.
        if is_process && runs(&folder, program).unwrap_or(false) {
            found += 1;
        }
        if found >= least {
            return Ok(true);
        }
    }
    Ok(false)
}

fn runs(process: &Path, program: &str) -> std::io::Result<bool> {
    if std::fs::read_to_string(process.join("comm"))?.trim_end() == program {
        return is_alive(process);
    }
    let mut started_as = [0; 4096];
    let length = std::fs::File::open(process.join("cmdline"))?.read(&mut started_as)?;
    let path = started_as[..length].split(|byte| *byte == 0).next().unwrap_or_default();
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    Ok(name == program.as_bytes() && is_alive(process)?)
}

/// A zombie serves nobody.
fn is_alive(process: &Path) -> std::io::Result<bool> {
    let stat = std::fs::read_to_string(process.join("stat"))?;
    // The name in parentheses may have anything in it.
    Ok(stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        assert_eq!(number(&path).unwrap(), 0);
        for (text, expected) in [("", 1), ("7\n", 7), (" -30 ", -30), ("0", 0)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(number(&path).unwrap(), expected, "{text:?}");
        }
        for text in ["many", "1 2", "99999999999", "\u{0}"] {
            std::fs::write(&path, text).unwrap();
            assert!(number(&path).is_err(), "{text:?}");
        }
        assert!(number(folder.path()).is_err());
    }

    #[test]
    fn finds_processes_by_name() {
        let mut sleep = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let folder = Path::new("/proc").join(sleep.id().to_string());
        // The kernel lets the parent go on shortly before it gives the child its new name.
        while !runs(&folder, "sleep").unwrap() {
            std::thread::yield_now();
        }
        assert!(enough_run("sleep", 1).unwrap());
        assert!(!enough_run("sleep", 100_000).unwrap());
        assert!(!enough_run("no-such-program-runs-here", 1).unwrap());
        sleep.kill().unwrap();
        // A zombie until it is waited for.
        while runs(&folder, "sleep").unwrap() {
            std::thread::yield_now();
        }
        sleep.wait().unwrap();
    }
}
