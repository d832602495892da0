//! MariaDB and PostgreSQL.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::peer::{Peer, directory};
use tidegate_integration::pki::Authority;
use tidegate_integration::sockets::free_port;

use crate::written::{certificate, outcome, run};

fn login(kind: &str, password: &str) -> String {
    format!("type = \"{kind}\"\nuser = \"probe\"\npassword = '{password}'\n")
}

/// The cases that every database has. `database` is one that exists.
async fn cases(kind: &str, address: SocketAddr, authority: &Authority, database: &str) {
    let right = login(kind, "right \"horse\"") + &format!("database = \"{database}\"\n");
    assert_eq!(outcome("right", address, &right).await, "passed");
    let query = |query: &str| format!("{right}query = \"{query}\"\nexpect = \"^4.$\"");
    assert_eq!(outcome("query", address, &query("SELECT 42")).await, "passed");
    let text = outcome("wrong value", address, &query("SELECT 7")).await;
    assert_eq!(text, "wrong answer: the query returned \"7\" instead of \"^4.$\"");
    let text = outcome("NULL", address, &query("SELECT NULL")).await;
    assert_eq!(text, "wrong answer: the query returned NULL instead of \"^4.$\"");
    let text = outcome("no row", address, &query("SELECT 1 FROM (SELECT 1) AS one WHERE 1 = 0")).await;
    assert_eq!(text, "wrong answer: the query returned no row");
    let text = outcome("wrong query", address, &query("SELECT nonsense")).await;
    assert!(text.starts_with("wrong answer: the query was refused: error "), "{text}");
    let text = outcome("wrong password", address, &login(kind, "wrong")).await;
    assert!(text.starts_with("wrong answer: the login was refused: error "), "{text}");
    assert!(text.contains("probe"), "{text}");
    let text = outcome("wrong database", address, &right.replace(database, "elsewhere")).await;
    assert!(
        text.starts_with("wrong answer: the login was refused: error ") && text.contains("elsewhere"),
        "{text}"
    );
    let tls = format!("{right}tls = \"starttls\"\n");
    let ca = format!("ca_file = \"{}\"", authority.certificate().display());
    assert_eq!(outcome("TLS", address, &(tls.clone() + &ca)).await, "passed");
    let text = outcome("unknown issuer", address, &tls).await;
    assert_eq!(text, "TLS failed: the certificate's issuer is none of the roots");
}

#[tokio::test]
async fn mysql() {
    let authority = Authority::new();
    let (directory, address) = (directory(), free_port());
    let path = directory.path().display().to_string();
    let leaf = certificate(&authority, directory.path());
    let data = format!("--datadir={path}/data");
    std::fs::create_dir(directory.path().join("data")).unwrap();
    run(
        "mariadb-install-db",
        &["--no-defaults", &data, "--auth-root-authentication-method=normal", "--user=root"],
    );
    let start = "CREATE USER probe@'127.0.0.1' IDENTIFIED BY 'right \"horse\"';\nCREATE DATABASE shop;\n\
        GRANT SELECT ON shop.* TO probe@'127.0.0.1';\n";
    std::fs::write(directory.path().join("start.sql"), start).unwrap();
    let arguments = [
        "--no-defaults".to_owned(),
        data,
        "--user=root".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        "--skip-name-resolve".to_owned(),
        "--innodb-buffer-pool-size=8M".to_owned(),
        format!("--port={}", address.port()),
        format!("--socket={path}/socket"),
        format!("--init-file={path}/start.sql"),
        format!("--ssl-cert={}", leaf.certificate.display()),
        format!("--ssl-key={}", leaf.key.display()),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let _mariadb = Peer::start("mariadb-server", "mariadbd", &arguments, directory, address);
    cases("mysql", address, &authority, "shop").await;
}

/// Where Debian has the programs of whatever version there is.
fn postgres_programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("install postgresql");
    versions.map(|version| version.unwrap().path().join("bin")).max().unwrap()
}

/// A server refuses to be root.
fn as_postgres(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    let program = postgres_programs().join(program);
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program).args(arguments);
    command
}

#[tokio::test]
async fn postgres() {
    let authority = Authority::new();
    let (directory, address) = (directory(), free_port());
    let path = directory.path().display().to_string();
    certificate(&authority, directory.path());
    std::fs::set_permissions(
        directory.path().join("key.pem"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    run("chown", &["-R", "postgres", &path]);
    let data = format!("{path}/data");
    let output =
        as_postgres("initdb", &["-D", &data, "-A", "trust", "-U", "postgres", "--no-sync"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let secret = "CREATE ROLE probe LOGIN PASSWORD 'right \"horse\"'\n\nCREATE DATABASE shop\n\n";
    let mut single = as_postgres("postgres", &["--single", "-j", "-D", &data, "postgres"]);
    std::fs::write(directory.path().join("start.sql"), secret.replace("\n\n", ";\n\n")).unwrap();
    let start = std::fs::File::open(directory.path().join("start.sql")).unwrap();
    let output = single.stdin(start).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::write(format!("{data}/pg_hba.conf"), "host all all 127.0.0.1/32 scram-sha-256\n").unwrap();
    let port = address.port().to_string();
    let (certificate, key) =
        (format!("ssl_cert_file={path}/cert.pem"), format!("ssl_key_file={path}/key.pem"));
    let program = postgres_programs().join("postgres").display().to_string();
    let arguments = [
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        &program,
        "-D",
        &data,
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-k",
        &path,
        "-F",
        "-c",
        "ssl=on",
        "-c",
        &certificate,
        "-c",
        &key,
    ];
    let postgres = Peer::start("util-linux", "setpriv", &arguments, directory, address);
    // It takes connections before it can serve them.
    wait_for("postgres to be ready", Duration::from_secs(20), || {
        postgres.output().contains("ready to accept connections").then_some(())
    });
    cases("postgres", address, &authority, "shop").await;
    let text = outcome("no user", address, &login("postgres", "x").replace("probe\"", "nobody\"")).await;
    assert!(text.contains("password authentication failed for user \\\"nobody\\\""), "{text}");
}
