//! Checks that have stopped: whatever goes wrong with running them, a real server whose health nobody looks at any
//! more must not look well. Pure, but for what it writes into the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_checkers::{Outcome, Probe};
use tidegate_engine::ProbeId;
use tracing::{error, info};

use super::event_loop::EventLoop;
use crate::control::status::SilentCheck;

/// A check is silent when nothing has come of it for so many of its intervals, its timeout, and a moment more.
const INTERVALS: u32 = 3;
const MOMENT: Duration = Duration::from_secs(1);
/// From one look to the next.
const PERIOD: Duration = Duration::from_secs(1);
/// Written and shown one by one; beyond this they are counted.
const NAMED: usize = 20;

/// When something last came of each probe.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// By id.
    watched: Vec<Watched>,
    silent: usize,
    /// The last look; none before the first.
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Watched {
    id: u64,
    limit: Duration,
    /// The last result; before that, when it was first looked for.
    last: Option<Instant>,
    silent: bool,
}

impl Silence {
    /// Watches these, in ascending order of id, and no others.
    pub(super) fn renew(&mut self, probes: &[Arc<Probe>]) {
        let mut before = std::mem::take(&mut self.watched).into_iter().peekable();
        let watch = |probe: &Arc<Probe>| {
            while before.next_if(|it| it.id < probe.id).is_some() {}
            let limit = (probe.interval * INTERVALS).saturating_add(probe.timeout).saturating_add(MOMENT);
            let new = Watched { id: probe.id, limit, last: None, silent: false };
            before.next_if(|it| it.id == probe.id).unwrap_or(new)
        };
        self.watched = probes.iter().map(watch).collect();
        self.silent = self.watched.iter().filter(|it| it.silent).count();
    }

    /// Something came of this probe, which is no result if it could not be run. If it was silent: for how long.
    pub(super) fn heard(&mut self, now: Instant, id: u64, outcome: &Outcome) -> Option<Duration> {
        if matches!(outcome, Outcome::NotRun(_)) {
            return None;
        }
        let at = self.watched.binary_search_by_key(&id, |it| it.id).ok()?;
        let watched = &mut self.watched[at];
        let last = watched.last.replace(now);
        if !std::mem::take(&mut watched.silent) {
            return None;
        }
        self.silent -= 1;
        last.map(|last| now.saturating_duration_since(last))
    }

    /// Those that have fallen silent since the last look, and for how long nothing has come of them.
    pub(super) fn look(&mut self, now: Instant) -> Vec<(u64, Duration)> {
        let since = now.saturating_duration_since(self.looked.unwrap_or(now));
        if self.looked.is_some() && since < PERIOD {
            return Vec::new();
        }
        self.looked = Some(now);
        // While we ourselves were stopped, nothing could come.
        let stopped = since.saturating_sub(PERIOD * 2);
        let mut fallen = Vec::new();
        for watched in &mut self.watched {
            let last = (*watched.last.get_or_insert(now) + stopped).min(now);
            watched.last = Some(last);
            let age = now.saturating_duration_since(last);
            if age > watched.limit && !watched.silent {
                watched.silent = true;
                fallen.push((watched.id, age));
            }
        }
        self.silent += fallen.len();
        fallen
    }

    /// How many are silent.
    pub(super) fn count(&self) -> usize {
        self.silent
    }

    /// The silent ones, and for how long nothing has come of them.
    fn all(&self, now: Instant) -> impl Iterator<Item = (u64, Duration)> {
        let silent = self.watched.iter().filter(|it| it.silent);
        silent.filter_map(move |it| Some((it.id, now.saturating_duration_since(it.last?))))
    }
}

impl EventLoop {
    /// To be called for each outcome of a check.
    pub(super) fn heard(&mut self, now: Instant, probe: u64, outcome: &Outcome) {
        let Some(age) = self.runner.silence.heard(now, probe, outcome) else { return };
        for it in self.silent_check(probe, age) {
            let SilentCheck { virtual_server, real_server, check, age_seconds } = it;
            info!(virtual_server, %real_server, check, age_seconds, "the check gives results again");
        }
    }

    /// To be called now and then.
    pub(super) fn listen(&mut self, now: Instant) {
        let fallen = self.runner.silence.look(now);
        let named = fallen.iter().flat_map(|(probe, age)| self.silent_check(*probe, *age)).take(NAMED);
        for SilentCheck { virtual_server, real_server, check, age_seconds } in named {
            error!(
                virtual_server, %real_server, check, age_seconds,
                "the check has stopped giving results: the real server's state may be out of date"
            );
        }
        if fallen.len() > NAMED {
            error!(checks = fallen.len(), "many checks have stopped giving results; see the status");
        }
    }

    /// Some of the checks that are silent.
    pub(super) fn silent_checks(&self, now: Instant) -> Vec<SilentCheck> {
        let checks = self.runner.silence.all(now).flat_map(|(probe, age)| self.silent_check(probe, age));
        checks.take(NAMED).collect()
    }

    /// The probe as the check of each real server that asks for it.
    fn silent_check(&self, probe: u64, age: Duration) -> Vec<SilentCheck> {
        let askers = self.engine.askers(ProbeId(probe));
        let check = |(virtual_server, real_server, check): (&Arc<str>, _, &Arc<str>)| SilentCheck {
            virtual_server: virtual_server.to_string(),
            real_server,
            check: check.to_string(),
            age_seconds: (age.as_secs_f64() * 10.0).round() / 10.0,
        };
        askers.map(check).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tidegate_checkers::{Spec, Target};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// With an interval and a timeout of a second: silent after 5 s.
    fn probe(id: u64) -> Arc<Probe> {
        let target = Target { address: (Ipv4Addr::LOCALHOST, 80).into(), bind: None, fwmark: None };
        Arc::new(Probe { id, target, spec: Arc::new(Spec::Tcp), interval: SECOND, timeout: SECOND })
    }

    fn watching(ids: &[u64]) -> (Silence, Instant) {
        let (mut silence, start) = (Silence::default(), crate::clock::now());
        silence.renew(&ids.iter().copied().map(probe).collect::<Vec<_>>());
        assert_eq!(silence.look(start), []);
        (silence, start)
    }

    #[test]
    fn a_check_that_stops_is_said_once_and_when_it_is_back() {
        let (mut silence, start) = watching(&[1, 2]);
        for second in 1..=10 {
            let now = start + second * SECOND;
            assert_eq!(silence.heard(now, 1, &Outcome::Refused), None);
            let fallen = silence.look(now);
            assert_eq!(fallen, if second == 6 { vec![(2, 6 * SECOND)] } else { vec![] }, "{second}");
        }
        assert_eq!(
            (silence.count(), silence.all(start + 10 * SECOND).collect()),
            (1, vec![(2, 10 * SECOND)])
        );
        assert_eq!(silence.heard(start + 11 * SECOND, 2, &Outcome::Refused), Some(11 * SECOND));
        assert_eq!(silence.heard(start + 12 * SECOND, 2, &Outcome::Refused), None);
        assert_eq!(silence.count(), 0);
    }

    #[test]
    fn what_is_known_outlives_a_reload() {
        let (mut silence, start) = watching(&[1, 2, 3]);
        for second in 1..=6 {
            silence.look(start + second * SECOND);
        }
        assert_eq!(silence.count(), 3);
        silence.renew(&[probe(2), probe(4)]);
        assert_eq!(silence.count(), 1);
        assert_eq!(silence.look(start + 7 * SECOND), []);
        assert_eq!(silence.heard(start + 8 * SECOND, 3, &Outcome::Refused), None, "it is gone");
        assert_eq!(silence.heard(start + 8 * SECOND, 2, &Outcome::Refused), Some(8 * SECOND));
    }

    #[test]
    fn a_pause_of_our_own_is_nobodys_silence() {
        let (mut silence, start) = watching(&[1]);
        let resumed = start + Duration::from_secs(3600);
        assert_eq!(silence.look(resumed), []);
        for second in 1..=3 {
            assert_eq!(silence.look(resumed + second * SECOND), []);
        }
        assert_eq!(silence.look(resumed + 4 * SECOND).len(), 1);
    }

    #[test]
    fn a_check_that_can_never_be_run_is_silent() {
        let (mut silence, start) = watching(&[1]);
        let not_run = Outcome::NotRun("no descriptor".into());
        for second in 1..=6 {
            let now = start + second * SECOND;
            assert_eq!(silence.heard(now, 1, &not_run), None);
            assert_eq!(silence.look(now).len(), usize::from(second == 6), "{second}");
        }
        assert_eq!(silence.heard(start + 7 * SECOND, 1, &not_run), None, "nothing is known yet");
        assert_eq!(silence.heard(start + 8 * SECOND, 1, &Outcome::Refused), Some(8 * SECOND));
    }

    #[test]
    fn a_result_that_is_taken_in_after_a_pause_is_no_newer_than_now() {
        let (mut silence, start) = watching(&[1]);
        let resumed = start + Duration::from_secs(3600);
        assert_eq!(silence.heard(resumed, 1, &Outcome::Refused), None);
        for second in 0..=6 {
            assert_eq!(silence.look(resumed + second * SECOND).len(), usize::from(second == 6), "{second}");
        }
    }
}
