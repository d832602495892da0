//! Programs of the operator's that check a server in a way of their own.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::select;
use tokio::sync::oneshot;

use crate::{Advice, Command, Ended, Outcome, Target};

/// A program whose exit status is the outcome: 0 passes, 1 fails.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScriptSpec {
    /// What is run.
    pub command: Command,
    /// From 2 to 255 the exit status passes and asks for the weight of 2 less, as keepalived has it; else it fails.
    pub dynamic: bool,
    /// The virtual server's name, which the program is told.
    pub virtual_server: String,
    /// The virtual server's first address; none where a mark stands for it.
    pub listen: Option<SocketAddr>,
}

/// Runs the program until it ends, or its time is over.
pub(crate) async fn run(spec: &ScriptSpec, target: &Target, limit: Duration) -> Outcome {
    let (spec, environment) = (spec.clone(), spec.environment(target));
    let (interest, no_interest) = oneshot::channel::<()>();
    let runtime = Handle::current();
    // Copying a large process takes its time, in which other checks go on. Without anybody to wait for it, it ends.
    let ended = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            select! {
                ended = spec.command.run(&environment, limit) => Some((ended, spec)),
                _ = no_interest => None,
            }
        })
    });
    let ended = ended.await;
    drop(interest);
    match ended {
        Ok(Some((Ok(ended), spec))) => judge(&ended, spec.dynamic, limit),
        Ok(Some((Err(error), spec))) => {
            let program = spec.command.arguments.first().map_or("", String::as_str);
            Outcome::NotRun(format!("cannot start {program}: {error}"))
        }
        Ok(None) | Err(_) => Outcome::NotRun("the thread that waits for the program has died".to_owned()),
    }
}

impl ScriptSpec {
    fn environment(&self, target: &Target) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("TIDEGATE_VIRTUAL_SERVER", self.virtual_server.clone()),
            ("TIDEGATE_REAL_ADDRESS", target.address.ip().to_string()),
            ("TIDEGATE_REAL_PORT", target.address.port().to_string()),
        ];
        if let Some(listen) = self.listen {
            environment.push(("TIDEGATE_VIRTUAL_ADDRESS", listen.ip().to_string()));
            environment.push(("TIDEGATE_VIRTUAL_PORT", listen.port().to_string()));
        }
        environment
    }
}

pub(crate) fn judge(ended: &Ended, dynamic: bool, limit: Duration) -> Outcome {
    // Without the end of the last line.
    let said = ended.output.trim_matches('"').trim_end_matches("\\n");
    let wrote = if said.is_empty() { String::new() } else { format!(": \"{said}\"") };
    let Some(status) = ended.status else {
        return Outcome::AnswerTimeout(format!("killed after {limit:?}{wrote}"));
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => Outcome::Passed(said.to_owned()),
        (Some(code @ 2..=255), _) if dynamic => {
            Outcome::Advised(format!("weight {}{wrote}", code - 2), Advice::Weight(code.unsigned_abs() - 2))
        }
        (Some(code), _) => Outcome::WrongAnswer(format!("exit status {code}{wrote}")),
        (None, signal) => {
            Outcome::WrongAnswer(format!("ended by signal {}{wrote}", signal.unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    fn judged(status: Option<i32>, output: &str, dynamic: bool) -> Outcome {
        let status = status.map(ExitStatus::from_raw);
        judge(&Ended { status, output: output.to_owned() }, dynamic, Duration::from_secs(1))
    }

    #[test]
    fn exit_statuses() {
        let code = |code: i32| Some(code << 8);
        let wrong = |text: &str| Outcome::WrongAnswer(text.to_owned());
        assert_eq!(judged(code(0), "\"fine\\n\"", true), Outcome::Passed("fine".to_owned()));
        assert_eq!(judged(code(1), "\"no\"", true), wrong("exit status 1: \"no\""));
        assert_eq!(judged(code(2), "\"\"", false), wrong("exit status 2"));
        let advised = |weight| Outcome::Advised(format!("weight {weight}"), Advice::Weight(weight));
        assert_eq!(judged(code(2), "\"\"", true), advised(0));
        assert_eq!(judged(code(255), "\"\"", true), advised(253));
        assert_eq!(judged(Some(9), "\"\"", true), wrong("ended by signal 9"));
        let killed = Outcome::AnswerTimeout("killed after 1s: \"a\"".to_owned());
        assert_eq!(judged(None, "\"a\"", true), killed);
    }
}
