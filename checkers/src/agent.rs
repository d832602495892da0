//! An agent on the real server that says how it is: HAProxy's agent-check protocol.
//!
//! The agent is asked for one line of words: `75%` of the configured weight, `drain`, `maint` or `stopped` for none
//! at all, `down` or `fail` for a server that is dead, `up` and `ready` for one that is not. Each line stands by
//! itself: what it does not say is as configured.

use crate::stream::{Stream, Tls};
use crate::trace::Trace;
use crate::{Advice, Outcome, Target, TlsSpec, text};

/// The longest line, in bytes.
const LINE: usize = 1024;

/// How to ask an agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AgentSpec {
    /// What is sent first; may be empty.
    pub send: String,
    /// TLS around the connection.
    pub tls: Option<TlsSpec>,
}

/// Asks, and follows what is said.
pub(crate) async fn ask(
    target: &Target,
    spec: &AgentSpec,
    tls: Option<&Tls>,
    trace: &Trace,
) -> Result<Outcome, Outcome> {
    talk(Stream::open(target, tls, trace).await?, spec).await
}

/// What is said over a connection that stands.
pub(crate) async fn talk(mut stream: Stream, spec: &AgentSpec) -> Result<Outcome, Outcome> {
    stream.ask(spec.send.as_bytes(), "line from the agent").await?;
    loop {
        let received = stream.received();
        if let Some(end) = received.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            return Ok(follow(&received[..end]));
        }
        match stream.receive(LINE).await {
            // The line may end with the connection.
            Err(Outcome::Reset(_)) if !stream.received().is_empty() => return Ok(follow(stream.received())),
            other => other?,
        }
    }
}

/// An agent that is not heard says nothing about the server, which other checks look after.
pub(crate) fn unheard(outcome: Outcome) -> Outcome {
    let why = match outcome {
        Outcome::Refused => "connection refused".to_owned(),
        Outcome::ConnectTimeout => "no connection".to_owned(),
        Outcome::Reset(why) | Outcome::AnswerTimeout(why) | Outcome::Unreachable(why) | Outcome::Tls(why) => {
            why
        }
        heard => return heard,
    };
    Outcome::NotRun(format!("the agent was not heard: {why}"))
}

fn follow(line: &[u8]) -> Outcome {
    let said = text::quote(line);
    let unknown = |why: &str| Outcome::NotRun(format!("the agent said {said}: {why}"));
    let Ok(line) = std::str::from_utf8(line) else { return unknown("it is not UTF-8") };
    // After the mark follow words for people.
    let words = line.split('#').next().unwrap_or_default();
    let words = words.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty());
    let (mut any, mut down, mut none, mut percent) = (false, false, false, None);
    for word in words {
        any = true;
        match word.to_ascii_lowercase().as_str() {
            "up" | "ready" => {}
            "down" | "fail" | "failed" => down = true,
            "drain" | "maint" | "stopped" => none = true,
            word => match (word.strip_suffix('%').map(str::parse), word.strip_prefix("maxconn:")) {
                (Some(Ok(share)), _) => percent = Some(share),
                (_, Some(most)) if most.parse::<u32>().is_ok() => {}
                _ => return unknown("that is none of its words"),
            },
        }
    }
    match percent {
        _ if !any => unknown("there is nothing in it"),
        _ if down => Outcome::WrongAnswer(format!("the agent said {said}")),
        _ if none => Outcome::Advised(said, Advice::Percent(0)),
        Some(share) => Outcome::Advised(said, Advice::Percent(share)),
        None => Outcome::Passed(said),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words() {
        let percent = |share, said: &str| Outcome::Advised(said.to_owned(), Advice::Percent(share));
        assert_eq!(follow(b"75%"), percent(75, "\"75%\""));
        assert_eq!(follow(b"up 120% maxconn:30 # busy"), percent(120, "\"up 120% maxconn:30 # busy\""));
        assert_eq!(follow(b"ready,50%"), percent(50, "\"ready,50%\""));
        for none in ["drain", "MAINT", "stopped", "up drain 50%", "0%"] {
            assert_eq!(follow(none.as_bytes()), percent(0, &format!("\"{none}\"")));
        }
        for down in ["down", "fail", "failed #disk", "down 100%"] {
            let said = Outcome::WrongAnswer(format!("the agent said \"{down}\""));
            assert_eq!(follow(down.as_bytes()), said);
        }
        assert_eq!(follow(b"up"), Outcome::Passed("\"up\"".to_owned()));
        for unknown in ["", "#", "hello", "-5%", "5 %", "maxconn:x", "99999999999%"] {
            assert!(matches!(follow(unknown.as_bytes()), Outcome::NotRun(_)), "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn any_line_can_be_followed(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = follow(&line);
        }
    }
}
