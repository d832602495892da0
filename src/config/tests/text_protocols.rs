use tidegate_checkers::{DialogueSpec, Preset, Spec, Step, TlsSpec};

use super::{refused, server};

fn dialogue(keys: &str) -> DialogueSpec {
    match &*server(&format!("[virtual_server.check]\n{keys}")).checks[0].spec {
        Spec::Dialogue(spec) => (**spec).clone(),
        other => panic!("{other:?}"),
    }
}

fn wrong(keys: &str, because: &str) {
    refused(&format!("[virtual_server.check]\n{keys}"), because);
}

#[test]
fn a_check_is_named_by_its_protocol() {
    assert_eq!(&*server("check.type = \"imap\"").checks[0].name, "imap");
}

#[test]
fn tls() {
    let tls = |keys: &str| {
        let spec = dialogue(keys);
        (spec.tls, spec.steps.iter().position(|step| *step == Step::Tls))
    };
    assert_eq!(tls("type = \"smtp\""), (None, None));
    assert_eq!(tls("type = \"smtp\"\ntls = \"implicit\""), (Some(TlsSpec::default()), Some(0)));
    let insecure = Some(TlsSpec { insecure: true, ..TlsSpec::default() });
    assert_eq!(tls("type = \"submission\"\ninsecure = true"), (insecure, Some(5)));
    wrong("type = \"redis\"\ntls = \"starttls\"", "`tls` must be one of \"none\", \"implicit\"");
    wrong("type = \"imap\"\nsni = \"a\"", "`sni` means nothing without `tls`");
}

#[test]
fn login() {
    let spec = dialogue("type = \"pop3\"\nuser = \"me\"\npassword = \"tiger\"");
    assert_eq!((spec.preset, spec.hidden.is_empty()), (Some(Preset::Pop3), false));
    wrong("type = \"pop3\"\npassword = \"tiger\"", "a `password` needs a `user`");
    wrong("type = \"pop3\"\nuser = \"me\"", "a `user` needs a `password`");
    wrong("type = \"redis\"\npassword = \"a\"\npassword_file = \"b\"", "exclude each other");
    wrong("type = \"imap\"\nhelo = \"me\"", "`helo` belongs to checks of type \"smtp\" or \"submission\"");
    wrong("type = \"smtp\"\nhelo = \"a b\"", "`helo` must be");
}

#[test]
fn steps() {
    let spec = dialogue("type = \"dialogue\"\nsteps = { send = \"a\", expect = \"b\" }");
    assert_eq!((spec.preset, spec.steps.len(), spec.max_answer), (None, 2, 16 << 10));
    let starttls = "type = \"dialogue\"\nsteps = [{ send = \"a\" }, { start_tls = true }]\ninsecure = true";
    assert!(dialogue(starttls).tls.is_some());

    wrong("type = \"dialogue\"", "needs `steps`");
    wrong("type = \"dialogue\"\nsteps = []", "`steps` must not be empty");
    wrong("type = \"dialogue\"\nsteps = {}", "a step needs");
    wrong("type = \"dialogue\"\nsteps = { expect = \"a*\" }", "must not match where nothing is");
    wrong("type = \"dialogue\"\nsteps = { expect = \"(\" }", "must be a regular expression");
    wrong("type = \"dialogue\"\nsteps = { send = \"a\", reject = \"b\" }", "`reject` needs `expect`");
    wrong(&format!("{starttls}\ntls = \"implicit\""), "exclude each other");
}
