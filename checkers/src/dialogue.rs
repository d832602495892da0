//! A conversation over TCP: say something, wait for what is expected, and so on. Most text protocols are one.

mod preset;

use regex::bytes::Regex;

pub use preset::{Login, Preset, Security};

use crate::stream::{Stream, Tls};
use crate::trace::Trace;
use crate::{Outcome, Secret, Target, TlsSpec, text};

/// A conversation, which passes when every step of it has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DialogueSpec {
    /// The protocol, if it is a well-known one's conversation.
    pub preset: Option<Preset>,
    /// One after the other; never empty.
    pub steps: Vec<Step>,
    /// How to speak TLS from [`Step::Tls`] on; needed when there is such a step.
    pub tls: Option<TlsSpec>,
    /// The most bytes that one answer may have.
    pub max_answer: usize,
    /// What is cut out of answers before they are shown, since a server may repeat it.
    pub hidden: Vec<Secret>,
}

/// A step of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Says this.
    Send(Secret),
    /// Waits for an answer.
    Expect(Expectation),
    /// Agrees on TLS. As the first step it is TLS from the beginning, else what STARTTLS is for.
    Tls,
}

/// What an answer must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Expectation {
    /// What is waited for, in messages: `greeting`, `answer to EHLO`.
    pub of: String,
    /// What `accept` means, in messages: `250`.
    pub wanted: String,
    /// The answer is as it should be as soon as this matches in what has been received since the last match. The next
    /// step begins after the match.
    pub accept: Pattern,
    /// The answer is wrong as soon as this matches and `accept` does not; without it an answer is waited for until
    /// the deadline.
    pub reject: Option<Pattern>,
}

/// A regular expression over bytes. Two of the same text are the same.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl std::hash::Hash for Pattern {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

/// Has the conversation. Either result is the outcome; an error ended it early.
pub(crate) async fn ask(
    target: &Target,
    spec: &DialogueSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    talk(Stream::connect(target, trace).await?, spec, tls, trace).await
}

/// The conversation over a connection that stands.
pub(crate) async fn talk(
    mut stream: Stream,
    spec: &DialogueSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    for step in &spec.steps {
        match step {
            Step::Send(bytes) => stream.send(bytes.expose().as_bytes()).await?,
            Step::Expect(expectation) => {
                trace.expect(&expectation.of);
                answer(&mut stream, expectation, spec).await?;
            }
            Step::Tls => {
                let tls = tls.ok_or_else(|| Outcome::NotRun("nothing says how to speak TLS".to_owned()))?;
                stream = stream.start_tls(tls).await?;
            }
        }
    }
    Ok(Outcome::Passed(String::new()))
}

async fn answer(stream: &mut Stream, wanted: &Expectation, spec: &DialogueSpec) -> Result<(), Outcome> {
    loop {
        match wanted.judge(stream.received()) {
            Judgement::Accepted { end } => {
                stream.take(end);
                return Ok(());
            }
            Judgement::Rejected => return Err(wanted.rejection(stream.received(), &spec.hidden)),
            Judgement::Incomplete if stream.received().len() >= spec.max_answer => {
                return Err(wanted.rejection(stream.received(), &spec.hidden));
            }
            Judgement::Incomplete => stream.receive(spec.max_answer).await?,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    /// The next answer begins at `end`.
    Accepted {
        end: usize,
    },
    Rejected,
    Incomplete,
}

impl Expectation {
    fn judge(&self, received: &[u8]) -> Judgement {
        if let Some(found) = self.accept.0.find(received) {
            return Judgement::Accepted { end: found.end() };
        }
        match &self.reject {
            Some(reject) if reject.0.is_match(received) => Judgement::Rejected,
            _ => Judgement::Incomplete,
        }
    }

    fn rejection(&self, received: &[u8], hidden: &[Secret]) -> Outcome {
        let mut shown = String::from_utf8_lossy(received).into_owned();
        for secret in hidden.iter().map(Secret::expose).filter(|secret| !secret.is_empty()) {
            shown = shown.replace(secret, "***");
        }
        let shown = text::quote(shown.trim_end().as_bytes());
        Outcome::WrongAnswer(format!("the {} is {shown} instead of {}", self.of, self.wanted))
    }
}
