//! One boot of User-Mode Linux: its processes, its console, its deadline.

use std::io::{BufRead, BufReader, PipeReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process_group};

/// How a boot ended.
pub(super) enum End {
    /// Powered off, or never started; its exit status tells nothing.
    Off,
    /// Killed, because it was not off in time.
    Deadline,
    /// Killed after a kernel panic, in which it would spin for ever.
    KernelPanic,
}

/// Boots with this script as the first process and gives what it printed. No process is left after that.
pub(super) fn boot(folder: &Path, init: &str, memory: u32, deadline: Duration) -> (String, End) {
    let script = folder.join("init");
    std::fs::write(&script, init).expect("the init script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("its mode");

    let (console, kernel_end) = std::io::pipe().expect("a pipe");
    let mut command = kernel();
    command
        .args(["rootfstype=hostfs", "rootflags=/", "ro", "quiet", "selinux=0", "noreboot"])
        .args(["con=null", "con0=null,fd:1", "umid=kernel"])
        .arg(format!("mem={memory}M"))
        .arg(format!("uml_dir={}/", folder.display()))
        .arg(format!("init={}", script.display()))
        // For the file that is its memory, which may be larger than /dev/shm of a container.
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(kernel_end.try_clone().expect("the pipe's end"))
        .stderr(kernel_end)
        .process_group(0);
    let mut process = command.spawn().expect("setpriv runs (Debian package util-linux)");
    drop(command);

    let group = Pid::from_child(&process);
    let (send, ended) = mpsc::channel();
    // A thread, so that the deadline holds whatever the console does. What it prints is captured with the test's output.
    std::thread::spawn(move || {
        let _nobody_waits = send.send(read(console, group));
    });
    let result = ended.recv_timeout(deadline).unwrap_or_else(|_| {
        kill(group);
        let (text, _) = ended.recv().expect("the console ends with the last process");
        (text, End::Deadline)
    });
    kill(group);
    process.wait().expect("the end of the kernel");
    result
}

/// The kernel dies with this test, however that ends. Where it is allowed, a process namespace takes with it the
/// kernel's helper processes, which else would stay.
fn kernel() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if geteuid().is_root() {
        command.args(["unshare", "--pid", "--fork", "--kill-child"]);
    }
    command.arg("linux.uml");
    command
}

/// Reads to the end, line by line.
fn read(console: PipeReader, group: Pid) -> (String, End) {
    let mut console = BufReader::new(console);
    let (mut text, mut end) = (String::new(), End::Off);
    let mut line = Vec::new();
    while console.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let readable = String::from_utf8_lossy(&line).trim_end().to_owned() + "\n";
        print!("{readable}");
        if readable.starts_with("Kernel panic") {
            end = End::KernelPanic;
            kill(group);
        }
        text += &readable;
        line.clear();
    }
    (text, end)
}

fn kill(group: Pid) {
    let _ended_already = kill_process_group(group, Signal::KILL);
}
