//! Checks as an operator writes them, and a table of what came of them: `just table` prints it.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use tidegate::config;
use tidegate::probes::Probes;
use tidegate_checkers::Spec;
use tidegate_integration::pki::{Authority, Leaf, Validity};

/// The spec of a check with these keys.
pub(crate) fn spec(keys: &str) -> Arc<Spec> {
    let text = format!(
        "[[virtual_server]]\nname = \"web\"\nlisten = \"192.0.2.10:80\"\nreal_server = [{{ address = \
         \"10.1.0.2:8080\" }}]\n[virtual_server.check]\n{keys}\n"
    );
    let model = config::parse(Path::new("test.toml"), &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    Arc::clone(&model.virtual_servers[0].checks[0].spec)
}

/// Runs the check once, with ten seconds of time, and adds a line to the table. What came of it, in words.
pub(crate) async fn outcome(case: &str, address: SocketAddr, keys: &str) -> String {
    outcome_within(Duration::from_secs(10), case, address, keys).await
}

/// The same with another timeout.
pub(crate) async fn outcome_within(timeout: Duration, case: &str, address: SocketAddr, keys: &str) -> String {
    let spec = (*spec(keys)).clone();
    let outcome = crate::observe(address, spec, timeout).await.outcome;
    let outcome = Probes::default().outcome(outcome).to_string();
    let kind = keys.split('"').nth(1).unwrap_or_default();
    let line = format!("| {kind} | {case} | {} |\n", outcome.replace('|', "\\|"));
    // In one piece, since other tests write too.
    begin_table().write_all(line.as_bytes()).unwrap();
    outcome
}

/// The table, which this process has begun unless it was started by one that has.
pub(crate) fn begin_table() -> File {
    static BEGIN: Once = Once::new();
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/checks-table");
    BEGIN.call_once(|| {
        if std::env::var_os(crate::network::CHILD).is_none() {
            File::create(path).unwrap();
        }
    });
    File::options().append(true).open(path).unwrap()
}

/// A certificate for 127.0.0.1 in `directory`, its key readable for whatever user a server becomes.
pub(crate) fn certificate(authority: &Authority, directory: &Path) -> Leaf {
    let leaf = authority.issue("server", "IP:127.0.0.1", Validity::Now);
    for (from, to) in [(&leaf.certificate, "cert.pem"), (&leaf.key, "key.pem")] {
        let to = directory.join(to);
        std::fs::copy(from, &to).unwrap();
        std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    }
    Leaf { certificate: directory.join("cert.pem"), key: directory.join("key.pem") }
}

/// Runs a program, which must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}
