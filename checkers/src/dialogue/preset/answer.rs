//! How protocols answer: what is expected, and what any complete answer looks like.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use regex::bytes::Regex;

use crate::dialogue::{Expectation, Pattern};

/// The expressions that were needed so far: some dozens, and each of them by many checks.
static COMPILED: Mutex<BTreeMap<String, Regex>> = Mutex::new(BTreeMap::new());

fn compiled(text: &str) -> Option<Pattern> {
    let mut known = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = known.get(text) {
        return Some(Pattern(regex.clone()));
    }
    let regex = Regex::new(text).ok()?;
    known.insert(text.to_owned(), regex.clone());
    Some(Pattern(regex))
}

/// The ways in which protocols answer.
pub(super) enum Answer {
    /// Three digits, on several lines perhaps (RFC 5321 §4.2, RFC 959 §4.2): those that are expected, with `|`
    /// between.
    Code(&'static str),
    /// One line, which begins with this.
    Line(&'static str),
    /// Lines, the last of which is tagged and says OK (RFC 3501 §7).
    Tagged(&'static str),
    /// Lines that begin with a quote, and then OK (RFC 5804 §1.3).
    Sieve,
}

impl Answer {
    /// An answer of this kind that is called `of`. None only if an expression of ours were wrong, which a test rules
    /// out.
    pub(super) fn expectation(&self, of: &str) -> Option<Expectation> {
        let (wanted, accept, reject) = self.patterns();
        Some(Expectation {
            of: of.to_owned(),
            wanted,
            accept: compiled(&accept)?,
            reject: Some(compiled(&reject)?),
        })
    }

    /// What is expected, in words and as an expression, and an expression for any complete answer.
    fn patterns(&self) -> (String, String, String) {
        match self {
            Self::Code(codes) => {
                let answer =
                    |code: &str| format!(r"(?-u)\A(?:(?:{code})-(?s:.*?\n))?(?:{code})(?: [^\n]*)?\r?\n");
                let other = r"\A\d{0,3}(?:[^-0-9\n][^\n]*)?\n|\A\d{4}[^\n]*\n";
                let any = answer(r"\d{3}");
                (codes.replace('|', " or "), answer(codes), format!("{any}|{other}"))
            }
            Self::Line(start) => {
                let start_expression = regex::escape(start);
                let accept = format!(r"(?-u)\A{start_expression}[^\n]*\n");
                (format!("{start:?}"), accept, r"\n".to_owned())
            }
            Self::Tagged(tag) => {
                let accept = format!(r"(?-u)\A(?:\*[^\n]*\n)*{tag} OK[^\n]*\n");
                (
                    format!("\"{tag} OK\""),
                    accept,
                    r"(?-u)(?:\A|\n)(?:\* BYE|[^*\n])[^\n]*\n|\A\r?\n".to_owned(),
                )
            }
            Self::Sieve => {
                let accept = r#"(?-u)\A(?:"[^\n]*\n)*OK[^\n]*\n"#.to_owned();
                ("OK".to_owned(), accept, r#"(?-u)(?:\A|\n)[^"\n][^\n]*\n|\A\n"#.to_owned())
            }
        }
    }
}
