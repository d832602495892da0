//! The conversations of well-known protocols, as data.
//!
//! `{name}` and so on in what is said stand for what the check is given, see [`Values`].

mod answer;
mod scripts;
#[cfg(test)]
mod tests;
mod values;

use self::answer::Answer;
use self::values::Values;
use super::{DialogueSpec, Step};
use crate::{Secret, TlsSpec};

/// The most that an answer of a well-known protocol has, in bytes.
const MAX_ANSWER: usize = 16 << 10;

/// Protocols whose conversation is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preset {
    /// RFC 5321; STARTTLS of RFC 3207, AUTH PLAIN of RFC 4954.
    Smtp,
    /// The same conversation, with another name (RFC 6409).
    Submission,
    /// RFC 3501.
    Imap,
    /// RFC 1939; STLS of RFC 2595.
    Pop3,
    /// RFC 959; AUTH TLS of RFC 4217.
    Ftp,
    /// RFC 3977; STARTTLS of RFC 4642, AUTHINFO of RFC 4643.
    Nntp,
    /// The serialization protocol of Redis, version 2.
    Redis,
    /// The text protocol of memcached.
    Memcached,
    /// ManageSieve, RFC 5804.
    Sieve,
}

/// Whether there is TLS, and from when on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Security {
    /// Clear text.
    None,
    /// From the first byte on.
    Tls(TlsSpec),
    /// From the protocol's own command on.
    StartTls(TlsSpec),
}

/// Who to log in as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Login {
    /// The user's name; may be empty where the protocol needs none.
    pub name: String,
    /// The password.
    pub password: Secret,
}

impl Preset {
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) const ALL: [Self; 9] = [
        Self::Smtp,
        Self::Submission,
        Self::Imap,
        Self::Pop3,
        Self::Ftp,
        Self::Nntp,
        Self::Redis,
        Self::Memcached,
        Self::Sieve,
    ];

    /// Whether the protocol has a command for TLS.
    pub fn has_start_tls(self) -> bool {
        self.script().start_tls.is_some()
    }

    /// Whether one logs in with a user's name as well as a password.
    pub fn needs_user(self) -> bool {
        self != Self::Redis
    }

    /// The conversation; `helo` is the name that a client gives itself in SMTP. STARTTLS where there is none is TLS
    /// from the first byte.
    pub fn dialogue(self, security: Security, login: Option<&Login>, helo: &str) -> DialogueSpec {
        let script = self.script();
        let mut talk = Conversation { steps: Vec::new(), values: Values::new(helo, login) };
        let tls = match (security, &script.start_tls) {
            (Security::None, _) => {
                talk.turns(script.greeting);
                None
            }
            (Security::StartTls(tls), Some(start)) => {
                talk.turns(script.greeting);
                talk.turns(script.hello);
                talk.turns(std::slice::from_ref(start));
                talk.steps.push(Step::Tls);
                if script.greets_again {
                    talk.turns(script.greeting);
                }
                Some(tls)
            }
            (Security::Tls(tls) | Security::StartTls(tls), _) => {
                talk.steps.push(Step::Tls);
                talk.turns(script.greeting);
                Some(tls)
            }
        };
        talk.turns(script.hello);
        if login.is_some() {
            talk.turns(script.login);
        }
        talk.turns(script.end);
        DialogueSpec {
            preset: Some(self),
            steps: talk.steps,
            tls,
            max_answer: MAX_ANSWER,
            hidden: talk.values.hidden,
        }
    }
}

/// A conversation in parts.
struct Script {
    /// What the server says by itself.
    greeting: &'static [Turn],
    /// What is said before STARTTLS, and again after it.
    hello: &'static [Turn],
    /// How TLS is asked for; none where the protocol has no such command.
    start_tls: Option<Turn>,
    /// Whether the server greets again inside TLS.
    greets_again: bool,
    login: &'static [Turn],
    /// The question that is the point of the check, if logging in is not enough, and the farewell.
    end: &'static [Turn],
}

/// What is said, and what is expected in return.
struct Turn {
    /// What the answer is called.
    of: &'static str,
    say: &'static str,
    answer: Answer,
}

/// Steps so far.
struct Conversation {
    steps: Vec<Step>,
    values: Values,
}

impl Conversation {
    fn turns(&mut self, turns: &[Turn]) {
        for turn in turns {
            if !turn.say.is_empty() {
                self.steps.push(Step::Send(Secret::new(self.values.fill(turn.say))));
            }
            self.steps.extend(turn.answer.expectation(turn.of).map(Step::Expect));
        }
    }
}
