//! What is wrong with a configuration, told as compilers do.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use super::place::{Note, Place};

/// How many mistakes are kept and printed.
const SHOWN: usize = 50;
/// How many characters of a line are kept.
const SOURCE: usize = 120;

/// All that is wrong with a configuration; never empty.
///
/// Ordered by file (the main file first, then in the order of inclusion), line and column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    shown: Vec<Mistake>,
    total: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file, as it was named on the command line or by an `include`.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line itself: at most 120 characters around the column, control characters replaced.
    pub source: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// The characters of `source` that are meant.
    mark: Range<usize>,
}

impl Mistakes {
    /// The first of them, at most 50.
    pub fn shown(&self) -> &[Mistake] {
        &self.shown
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Works out lines and columns. `files` are names and texts by number; `None` when nothing was noted.
    pub(super) fn new(mut notes: Vec<Note>, files: &[(PathBuf, String)]) -> Option<Self> {
        notes.sort_unstable();
        notes.dedup();
        let mut found = Self { shown: Vec::new(), total: 0 };
        for notes in notes.chunk_by(|a, b| a.place.file == b.place.file) {
            if let Some((path, text)) = notes.first().and_then(|note| files.get(note.place.file as usize)) {
                found.add_file(path, text, notes);
            }
        }
        (found.total > 0).then_some(found)
    }

    fn add_file(&mut self, path: &Path, text: &str, notes: &[Note]) {
        let (mut line, mut counted) = (1, 0);
        let mut numbered = Vec::with_capacity(notes.len());
        for note in notes {
            let start = (note.place.start as usize).min(text.len());
            line += text.as_bytes()[counted..start].iter().filter(|byte| **byte == b'\n').count();
            counted = start;
            numbered.push((line, note));
        }
        for same_line in numbered.chunk_by(|a, b| a.0 == b.0) {
            // What else is wrong with a line that is not TOML only follows from that.
            let said = match same_line.iter().position(|(_, note)| note.syntax) {
                Some(first) => &same_line[first..=first],
                None => same_line,
            };
            for (line, note) in said {
                self.total += 1;
                if self.shown.len() < SHOWN {
                    self.shown.push(Mistake::new(path, text, *line, note));
                }
            }
        }
    }
}

impl Mistake {
    fn new(path: &Path, text: &str, line: usize, note: &Note) -> Self {
        let (source, mark, column) = excerpt(text, note.place);
        Self { file: path.to_owned(), line, column, source, message: note.message.clone(), mark }
    }
}

/// The line around a place, what of it is meant, and its column.
fn excerpt(text: &str, place: Place) -> (String, Range<usize>, usize) {
    let boundary = |at: u32| (0..=text.len().min(at as usize)).rev().find(|at| text.is_char_boundary(*at));
    let start = boundary(place.start).unwrap_or(0);
    let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    let before = text[begin..start].chars().count();
    let stop = boundary(place.end).unwrap_or(start).clamp(start, end);
    let meant = text[start..stop].trim_end().chars().count().max(1);

    // A long line is cut so that the place stays in sight.
    let skipped = before.saturating_sub(if before + meant > SOURCE { SOURCE / 2 } else { SOURCE });
    let source: String = without_secrets(text[begin..end].trim_end())
        .chars()
        .skip(skipped)
        .take(SOURCE)
        .map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    let mark = before - skipped..(before - skipped + meant).min(SOURCE + 1);
    (source, mark, before + 1)
}

/// A line of the same length in which no password can be read: mistakes go into logs and over the control socket.
fn without_secrets(line: &str) -> Cow<'_, str> {
    // A string up to its end, or to the end of the line where it has none.
    static SECRET: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(password|secret)(["']?\s*=\s*["']+)((?:[^"'\\]|\\.)*)"#).ok());
    let Some(secret) = &*SECRET else { return Cow::Borrowed(line) };
    secret.replace_all(line, |found: &regex::Captures<'_>| {
        format!("{}{}{}", &found[1], &found[2], "*".repeat(found[3].chars().count()))
    })
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.shown.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{mistake}")?;
        }
        match self.total - self.shown.len() {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.message)?;
        if self.source.is_empty() {
            return Ok(());
        }
        // Tabs stay tabs, so that the mark stands below what it means.
        let indent: String =
            self.source.chars().chain(std::iter::repeat(' ')).take(self.mark.start).map(blank).collect();
        write!(f, "\n{:>5} | {}\n      | {indent}{}", self.line, self.source, "^".repeat(self.mark.len()))
    }
}

fn blank(c: char) -> char {
    if c == '\t' { '\t' } else { ' ' }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (line, shown) in [
            (r#"password = "tiger""#, r#"password = "*****""#),
            (
                r#"check = { password="a\"b", secret = 'c d', path = "/x" }"#,
                r#"check = { password="****", secret = '***', path = "/x" }"#,
            ),
            (r#"password = "never ends"#, r#"password = "**********"#),
            (r#""secret" = """é"#, r#""secret" = """*"#),
            (r#"password_file = "/etc/x""#, r#"password_file = "/etc/x""#),
            (r#"name = "secret""#, r#"name = "secret""#),
        ] {
            assert_eq!(without_secrets(line), shown);
        }
    }
}
