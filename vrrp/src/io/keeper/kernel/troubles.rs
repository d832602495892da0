//! What has failed and fails still: said once, and once more when it is over.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use crate::io::keeper::report::{Report, Reports};

/// Failures by what was attempted, with the reason.
pub(super) struct Troubles {
    reports: Reports,
    now: BTreeMap<String, String>,
    /// Of the time before the check that is going on.
    before: BTreeMap<String, String>,
}

impl Troubles {
    pub(super) fn new(reports: Reports) -> Self {
        Self { reports, now: BTreeMap::new(), before: BTreeMap::new() }
    }

    pub(super) fn any(&self) -> bool {
        !self.now.is_empty()
    }

    /// What does not fail again from here on is forgotten.
    pub(super) fn age(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    pub(super) fn failed(&mut self, what: &impl Display, router: &Arc<str>, why: &impl Display) {
        let (what, why) = (what.to_string(), why.to_string());
        if self.now.get(&what).or(self.before.get(&what)) != Some(&why) {
            let (router, what, why) = (Arc::clone(router), what.clone(), why.clone());
            self.reports.send(Report::Failed { router, what, why });
        }
        self.now.insert(what, why);
    }

    /// It has succeeded; whether it had failed.
    pub(super) fn over(&mut self, what: &impl Display, router: &Arc<str>) -> bool {
        if self.now.is_empty() && self.before.is_empty() {
            return false;
        }
        let what = what.to_string();
        let had_failed = self.now.remove(&what).or(self.before.remove(&what)).is_some();
        if had_failed {
            self.reports.send(Report::Mended { router: Arc::clone(router), what });
        }
        had_failed
    }
}
