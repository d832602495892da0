//! Regular expressions, each compiled once.

use regex::{Regex, RegexBuilder, bytes};
use tidegate_checkers::Pattern;

use super::Context;

/// The most that a compiled expression may take, in bytes.
const SIZE: usize = 1 << 20;

impl Context {
    /// The expression, or the reason why `text` is none, to complete "`key` …".
    pub(super) fn regex(&mut self, text: &str) -> Result<Regex, String> {
        if let Some(known) = self.regexes.get(text) {
            return Ok(known.clone());
        }
        let regex = RegexBuilder::new(text).size_limit(SIZE).build().map_err(why)?;
        self.regexes.insert(text.to_owned(), regex.clone());
        Ok(regex)
    }

    /// The same, to match bytes that may be no text.
    pub(super) fn pattern(&mut self, text: &str) -> Result<Pattern, String> {
        if let Some(known) = self.patterns.get(text) {
            return Ok(known.clone());
        }
        let regex = bytes::RegexBuilder::new(text).size_limit(SIZE).build().map_err(why)?;
        self.patterns.insert(text.to_owned(), Pattern(regex.clone()));
        Ok(Pattern(regex))
    }
}

/// Why a text is no expression.
fn why(error: regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("must be an expression that takes no more than {limit} bytes when compiled")
        }
        error => {
            // The last line of several says why; the others show the expression.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            format!("must be a regular expression: {}", reason.trim_start_matches("error: "))
        }
    }
}
