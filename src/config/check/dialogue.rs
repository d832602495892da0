//! `type = "dialogue"`: a conversation of the operator's own.

use tidegate_checkers::{DialogueSpec, Expectation, Pattern, Secret, Security, Spec, Step};

use super::security::{self, IMPLICIT, Mode, NONE};
use super::tls;
use crate::config::Context;
use crate::config::reader::Table;
use crate::config::show;
use crate::config::values::{boolean, describe, integer, string};

pub(super) const KEYS: [&str; 2] = ["steps", "max_answer"];

const STEPS: usize = 64;
const MAX_SAID: usize = 64 << 10;
const DEFAULT_MAX_ANSWER: usize = 16 << 10;
const MAX_ANSWER: u64 = 1 << 20;

pub(super) fn read(table: &mut Table<'_>, context: &mut Context) -> Spec {
    if !table.has("steps") && table.whole() {
        table.note(table.place, "a check of type \"dialogue\" needs `steps`");
    }
    let tables = table.tables("steps", "steps = [{ send = \"…\", expect = \"…\" }]");
    if tables.len() > STEPS {
        table.note(table.place, format!("`steps` must be no more than {STEPS}"));
    }
    let mut steps = Vec::new();
    for (step, number) in tables.into_iter().zip(1..=STEPS) {
        one(step, number, &mut steps, context);
    }
    let starts = steps.iter().filter(|step| **step == Step::Tls).count();
    let tls = if starts > 0 {
        table.refuse("tls", "`tls` and a step with `start_tls` exclude each other");
        if starts > 1 {
            table.note(table.place, "only one step can have `start_tls`");
        }
        Some(tls::read(table, context))
    } else {
        match security::read(table, &[NONE, IMPLICIT], Mode::None, context) {
            Security::None => None,
            Security::Tls(tls) | Security::StartTls(tls) => {
                steps.insert(0, Step::Tls);
                Some(tls)
            }
        }
    };
    let max_answer =
        table.take("max_answer", integer(1..=MAX_ANSWER)).map_or(DEFAULT_MAX_ANSWER, |it| it.value);
    Spec::Dialogue(Box::new(DialogueSpec { preset: None, steps, tls, max_answer, hidden: Vec::new() }))
}

fn one(mut table: Table<'_>, number: usize, steps: &mut Vec<Step>, context: &mut Context) {
    const ALL: [&str; 4] = ["send", "expect", "reject", "start_tls"];
    if !ALL.iter().any(|key| table.has(key)) {
        table.note(table.place, "a step needs `send`, `expect` or `start_tls`");
    }
    if table.has("reject") && !table.has("expect") {
        table.refuse("reject", "`reject` needs `expect`");
    }
    let send = table.take("send", |value| match string(value)? {
        text if (1..=MAX_SAID).contains(&text.len()) => Ok(Secret::new(text)),
        text => Err(format!("must have 1 to {MAX_SAID} bytes, not {}", text.len())),
    });
    steps.extend(send.map(|it| Step::Send(it.value)));
    let mut pattern = |key| {
        let found = table.take(key, |value| {
            let pattern = context.pattern(string(value)?)?;
            if pattern.0.is_match(b"") {
                return Err(format!("must not match where nothing is, as {} does", describe(value)));
            }
            Ok(pattern)
        });
        found.map(|it| it.value)
    };
    let (accept, reject) = (pattern("expect"), pattern("reject"));
    if let Some(accept) = accept {
        let wanted = show::quoted(accept.0.as_str());
        steps.push(Step::Expect(Expectation {
            of: format!("answer in step {number}"),
            wanted,
            accept,
            reject,
        }));
    }
    if table.take("start_tls", boolean).is_some_and(|it| it.value) {
        steps.push(Step::Tls);
    }
    table.finish();
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &DialogueSpec) -> Vec<(&'static str, String)> {
    let word = match spec.steps.iter().position(|step| *step == Step::Tls) {
        None => "none",
        Some(0) => "implicit",
        Some(_) => "starttls",
    };
    let pattern = |pattern: &Pattern| show::quoted(pattern.0.as_str());
    let step = |step: &Step| match step {
        Step::Send(text) => format!("send {} bytes", text.expose().len()),
        Step::Expect(Expectation { accept, reject: None, .. }) => format!("expect {}", pattern(accept)),
        Step::Expect(Expectation { accept, reject: Some(reject), .. }) => {
            format!("expect {} reject {}", pattern(accept), pattern(reject))
        }
        Step::Tls => "start_tls".to_owned(),
    };
    let steps: Vec<_> = spec.steps.iter().map(step).collect();
    let mut answers = security::question(word, spec.tls.as_ref());
    answers.extend([("steps", show::list(&steps)), ("max_answer", spec.max_answer.to_string())]);
    answers
}
