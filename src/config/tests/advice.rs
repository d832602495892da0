//! Checks that may ask for a weight.

use tidegate_checkers::{FileMeaning, Spec};
use tidegate_engine::Initially;

use super::{refused, server};
use crate::config::Check;

fn check(keys: &str) -> Check {
    server(&format!("[virtual_server.check]\n{keys}")).checks[0].clone()
}

fn wrong(keys: &str, because: &str) {
    refused(&format!("[virtual_server.check]\n{keys}"), because);
}

#[test]
fn scripts_know_whom_they_serve() {
    let Spec::Script(spec) = &*check("type = \"script\"\ncommand = \"/bin/true\"").spec else { panic!() };
    assert_eq!(spec.command.arguments, ["/bin/true"]);
    assert_eq!((&*spec.virtual_server, spec.listen), ("web", "192.0.2.10:80".parse().ok()));
    assert!(!spec.dynamic);
    wrong("type = \"script\"", "`command` is missing");
    wrong("type = \"script\"\ncommand = \"true\"", "absolute path");
}

#[test]
fn agents_are_heard_beside_other_checks() {
    let agent = check("type = \"agent\"\nport = 9707");
    assert_eq!((agent.initially, agent.port), (Initially::Up, Some(9707)));
    assert_eq!(check("type = \"agent\"\nport = 9707\ninitially = \"down\"").initially, Initially::Down);
    wrong("type = \"agent\"", "needs `port`");
    wrong("type = \"agent\"\nport = 1\ninsecure = true", "means nothing without `tls");
}

#[test]
fn files() {
    let Spec::File(spec) = &*check("type = \"file\"\npath = \"/etc/out/{address}\"").spec else { panic!() };
    assert_eq!((&*spec.path, spec.meaning), ("/etc/out/{address}", FileMeaning::Maintenance));
    wrong("type = \"file\"", "needs `path`");
    wrong("type = \"file\"\npath = \"out\"", "`path` must be an absolute path");
}
