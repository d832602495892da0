//! Programs of the operator's: run without a shell, as an unprivileged user, for a limited time.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::text;

// What of the output is kept; the rest is read and forgotten, so that the program need not wait.
const OUTPUT: usize = 4 * 1024;
// A process that has been killed is gone by then, if it can be.
const KILLED: Duration = Duration::from_millis(100);
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program and how it is run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Command {
    /// The program, an absolute path, and its arguments.
    pub arguments: Vec<String>,
    /// As whom; none: as this process, though without its capabilities.
    pub user: Option<User>,
}

/// Whom a program runs as. It is in no other group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct User {
    /// The name, for people.
    pub name: String,
    /// The user.
    pub uid: u32,
    /// The user's own group.
    pub gid: u32,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// By itself; none: it was killed because its time was over.
    pub status: Option<ExitStatus>,
    /// The beginning of what it wrote, in quotes and made fit for logs.
    pub output: String,
}

impl Command {
    /// Runs the program until it ends or `limit` is over. Then, and when the future is dropped, whatever is left of
    /// its process group is killed.
    ///
    /// The environment is `PATH` and what is given. An error means that the program could not be started.
    pub async fn run(&self, environment: &[(&str, String)], limit: Duration) -> io::Result<Ended> {
        let (output, input) = io::pipe()?;
        let mut command = self.build(environment, input)?;
        let mut child = command.spawn()?;
        // It holds the pipe's other end open.
        drop(command);
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let mut reading = JoinSet::new();
        reading.spawn(head(tokio::net::unix::pipe::Receiver::from_owned_fd(output.into())?));
        let status = timeout(limit, child.wait()).await;
        drop(group);
        let status = match status {
            Ok(status) => Some(status?),
            Err(_) => {
                // One that waits for a dead disk cannot be killed, and is not waited for.
                let (Ok(_) | Err(_)) = timeout(KILLED, child.wait()).await;
                None
            }
        };
        // All who could write are dead, but for one that has left the group; that is not waited for.
        let output = timeout(KILLED, reading.join_next()).await;
        let output = output.ok().flatten().and_then(Result::ok).unwrap_or_default();
        Ok(Ended { status, output: text::quote(&output) })
    }

    fn build(
        &self,
        environment: &[(&str, String)],
        output: io::PipeWriter,
    ) -> io::Result<tokio::process::Command> {
        let (program, arguments) = self.arguments.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .process_group(0);
        if let Some(user) = &self.user {
            command.uid(user.uid).gid(user.gid);
        }
        without_capabilities(&mut command);
        Ok(command)
    }
}

/// A service manager may have given this process capabilities that its children would inherit.
#[allow(unsafe_code)]
fn without_capabilities(command: &mut tokio::process::Command) {
    let clear = || {
        // A kernel without ambient capabilities has none to clear.
        let (Ok(()) | Err(_)) = rustix::thread::clear_ambient_capability_set();
        Ok(())
    };
    // SAFETY: between fork and exec it makes one system call and touches no memory of the parent's.
    unsafe { command.pre_exec(clear) };
}

/// Killed when dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may be empty by now.
            let (Ok(()) | Err(_)) = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// The beginning of what comes, once everything has come.
async fn head(mut output: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(read @ 1..) = output.read(&mut buffer).await {
        head.extend_from_slice(&buffer[..read.min(OUTPUT - head.len())]);
    }
    head
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::clock;

    fn shell(script: &str) -> Command {
        Command { arguments: vec!["/bin/sh".into(), "-c".into(), script.into()], user: None }
    }

    async fn run(script: &str, limit: Duration) -> Ended {
        shell(script).run(&[("NAME", "value".to_owned())], limit).await.unwrap()
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn tells_the_status_and_what_was_written() {
        let ended = run("echo $NAME; echo more >&2; exit 7", LONG).await;
        assert_eq!(ended.status.and_then(|it| it.code()), Some(7));
        assert_eq!(ended.output, r#""value\nmore\n""#);
        let ended = run("kill -TERM $$", LONG).await;
        assert_eq!(ended.status.and_then(|it| it.signal()), Some(15));
    }

    #[tokio::test]
    async fn inherits_nothing() {
        let ended = run("env | sort; pwd", LONG).await;
        assert!(ended.output.contains("NAME=value\\nPATH=/usr/local") && !ended.output.contains("HOME"));
    }

    #[tokio::test]
    async fn a_flood_of_output_is_read_and_forgotten() {
        let ended = run("head -c 10000000 /dev/zero", LONG).await;
        assert_eq!(ended.status.and_then(|it| it.code()), Some(0));
        assert!(ended.output.len() < 1024, "{}", ended.output.len());
    }

    #[tokio::test]
    async fn kills_all_that_it_has_started_at_the_deadline() {
        let started = clock::now();
        let ended = run("sleep 1000 & echo $!; wait", Duration::from_millis(300)).await;
        assert!(ended.status.is_none());
        assert!(clock::now() - started < LONG);
        gone(&ended).await;
    }

    #[tokio::test]
    async fn leaves_nothing_behind_after_its_end() {
        gone(&run("sleep 1000 & echo $!", LONG).await).await;
    }

    /// The process whose number was written does not run any more.
    async fn gone(ended: &Ended) {
        let number: String = ended.output.chars().filter(char::is_ascii_digit).collect();
        let runs = || {
            let status = std::fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
            status.contains("sleep") && !status.contains("State:\tZ")
        };
        for _ in 0..500 {
            if !runs() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{number} still runs");
    }

    #[tokio::test]
    async fn says_what_cannot_be_started() {
        let missing = Command { arguments: vec!["/nowhere".into()], user: None };
        assert_eq!(missing.run(&[], LONG).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn runs_as_another_user_where_it_may() {
        let user = User { name: "nobody".into(), uid: 65534, gid: 65534 };
        let command =
            Command { user: Some(user), ..shell("id -u; id -g; id -G; grep CapEff /proc/self/status") };
        match command.run(&[], LONG).await {
            Ok(ended) => assert_eq!(ended.output, r#""65534\n65534\n65534\nCapEff:\t0000000000000000\n""#),
            Err(error) => {
                assert!(!rustix::process::geteuid().is_root(), "{error}");
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            }
        }
    }
}
