//! Say once, then count: keeps a fault of our own that hits every check from filling the log. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

// How long a text is quiet after it was said, and how many texts are told apart.
const QUIET: Duration = Duration::from_secs(60);
const TEXTS: usize = 64;

/// Decides which of many equal lines are written.
#[derive(Debug, Default)]
pub(super) struct Flood {
    said: BTreeMap<String, Said>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    since: u64,
}

impl Flood {
    /// To be said now? Then how often it was held back since it was last said.
    pub(super) fn admit(&mut self, now: Instant, text: &str) -> Option<u64> {
        if let Some(said) = self.said.get_mut(text) {
            if now.saturating_duration_since(said.at) < QUIET {
                said.since += 1;
                return None;
            }
            let held_back = said.since;
            *said = Said { at: now, since: 0 };
            return Some(held_back);
        }
        if self.said.len() == TEXTS {
            self.said.retain(|_, said| now.saturating_duration_since(said.at) < QUIET);
        }
        // Texts that vary without end share what is left.
        let key = if self.said.len() < TEXTS { text } else { "" };
        if key.is_empty() && !text.is_empty() && self.said.contains_key("") {
            return self.admit(now, "");
        }
        self.said.insert(key.to_owned(), Said { at: now, since: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_said_once_a_minute_and_counted_meanwhile() {
        let start = crate::clock::now();
        let mut flood = Flood::default();

        assert_eq!(flood.admit(start, "no descriptor"), Some(0));
        for second in 1..60 {
            assert_eq!(flood.admit(start + Duration::from_secs(second), "no descriptor"), None);
        }
        assert_eq!(flood.admit(start, "no route"), Some(0));
        assert_eq!(flood.admit(start + QUIET, "no descriptor"), Some(59));
        assert_eq!(flood.admit(start + QUIET, "no descriptor"), None);
    }

    #[test]
    fn texts_without_end_stay_bounded_and_quiet() {
        let start = crate::clock::now();
        let mut flood = Flood::default();

        let admitted = (0..10_000).filter(|n| flood.admit(start, &format!("text {n}")).is_some()).count();

        assert_eq!(admitted, TEXTS + 1);
        assert!(flood.said.len() <= TEXTS + 1);
    }
}
