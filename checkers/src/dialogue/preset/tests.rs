use proptest::prelude::*;

use super::*;
use crate::dialogue::Judgement;

fn login() -> Login {
    Login { name: "{password}".to_owned(), password: Secret::new("a\"b\\{name}") }
}

fn said(preset: Preset, security: Security) -> Vec<String> {
    let steps = preset.dialogue(security, Some(&login()), "[192.0.2.1]").steps;
    let said = |step: &Step| match step {
        Step::Send(text) => Some(text.expose().trim_end().to_owned()),
        Step::Expect(_) => None,
        Step::Tls => Some("(TLS)".to_owned()),
    };
    steps.iter().filter_map(said).collect()
}

fn judge(answer: &Answer, text: impl AsRef<[u8]>) -> Judgement {
    answer.expectation("answer").unwrap().judge(text.as_ref())
}

/// An expression that does not compile would lose a step.
#[test]
fn every_turn_is_a_step() {
    for preset in Preset::ALL {
        let script = preset.script();
        let parts = [script.greeting, script.hello, script.login, script.end];
        let turns = parts.into_iter().map(<[Turn]>::len).sum::<usize>();
        let steps = preset.dialogue(Security::None, Some(&login()), "me").steps;
        assert_eq!(steps.iter().filter(|step| matches!(step, Step::Expect(_))).count(), turns, "{preset:?}");
    }
}

#[test]
fn tls_comes_first_or_when_it_was_agreed_on() {
    let tls = TlsSpec::default();
    assert_eq!(said(Preset::Smtp, Security::Tls(tls.clone()))[..2], ["(TLS)", "EHLO [192.0.2.1]"]);
    assert_eq!(
        said(Preset::Smtp, Security::StartTls(tls.clone()))[..4],
        ["EHLO [192.0.2.1]", "STARTTLS", "(TLS)", "EHLO [192.0.2.1]"]
    );
    for preset in Preset::ALL {
        let said = said(preset, Security::StartTls(tls.clone()));
        assert_eq!(said[0] != "(TLS)", preset.has_start_tls(), "{preset:?}");
    }
}

#[test]
fn what_is_put_in_is_not_looked_into() {
    assert_eq!(said(Preset::Pop3, Security::None), ["USER {password}", "PASS a\"b\\{name}", "QUIT"]);
    assert_eq!(said(Preset::Imap, Security::None)[0], r#"a2 LOGIN "{password}" "a\"b\\{name}""#);
    assert_eq!(said(Preset::Memcached, Security::None)[0], "set auth 0 0 21\r\n{password} a\"b\\{name}");
    let nameless = Login { name: String::new(), password: Secret::new("x") };
    let steps = Preset::Redis.dialogue(Security::None, Some(&nameless), "").steps;
    assert_eq!(steps[0], Step::Send(Secret::new("AUTH \"x\"\r\n")));
}

#[test]
fn the_password_is_nowhere_to_be_seen() {
    let login = Login { name: "me".to_owned(), password: Secret::new("tiger") };
    for preset in Preset::ALL {
        let spec = preset.dialogue(Security::None, Some(&login), "me");
        let shown = format!("{spec:?}");
        assert!(!shown.contains("tiger") && !shown.contains("AG1lAHRpZ2Vy"), "{shown}");
        let Some(Step::Expect(expectation)) = spec.steps.last() else { panic!("{preset:?}") };
        let why = expectation.rejection(b"500 unknown: PASS tiger AG1lAHRpZ2Vy", &spec.hidden);
        assert!(format!("{why:?}").contains("500 unknown: PASS *** ***"), "{why:?}");
    }
}

#[test]
fn answers_of_several_lines() {
    use Judgement::{Accepted, Incomplete, Rejected};
    let code = Answer::Code("220|230");
    let smtp = "220-mail\r\n220-more\r\n220 ready\r\n";
    assert_eq!(judge(&code, smtp), Accepted { end: smtp.len() });
    assert_eq!(judge(&code, "220-mail\r\n2200 of them\r\n"), Incomplete);
    let ftp = "230-Welcome\r\n to you\r\n230 ready\r\n";
    assert_eq!(judge(&code, format!("{ftp}next")), Accepted { end: ftp.len() });
    assert_eq!(judge(&code, "220\r\n"), Accepted { end: 5 });
    assert_eq!(judge(&code, "220 rea"), Incomplete);
    for wrong in ["554 no\r\n", "554-no\r\n554 no\r\n", "hello\r\n", "\r\n", "22\n", "2200 x\n", "221\r\n"] {
        assert_eq!(judge(&code, wrong), Rejected, "{wrong}");
    }
    assert_eq!(judge(&code, "554-no\r\n"), Incomplete);

    let tagged = Answer::Tagged("a1");
    let imap = "* CAPABILITY IMAP4rev1\r\n* 1 EXISTS\r\na1 OK done\r\n";
    assert_eq!(judge(&tagged, imap), Accepted { end: imap.len() });
    assert_eq!(judge(&tagged, "* 1 EXISTS\r\n"), Incomplete);
    for wrong in ["a1 NO\r\n", "* 1 EXISTS\r\na1 BAD x\r\n", "* BYE\r\n", "\r\n", "a11 OK\r\n"] {
        assert_eq!(judge(&tagged, wrong), Rejected, "{wrong}");
    }

    let sieve = "\"IMPLEMENTATION\" \"x\"\r\n\"STARTTLS\"\r\nOK \"ready\"\r\n";
    assert_eq!(judge(&Answer::Sieve, sieve), Accepted { end: sieve.len() });
    assert_eq!(judge(&Answer::Sieve, "\"SIEVE\" \"x\"\r\n"), Incomplete);
    for wrong in ["NO \"x\"\r\n", "\"SIEVE\"\r\nBYE\r\n"] {
        assert_eq!(judge(&Answer::Sieve, wrong), Rejected, "{wrong}");
    }
}

const ANSWERS: [Answer; 4] = [Answer::Code("220"), Answer::Line("+OK"), Answer::Tagged("a1"), Answer::Sieve];

proptest! {
    /// There is nothing to wait for after a line that goes on nowhere.
    #[test]
    fn a_line_is_the_answer_or_wrong(line in "[^\r\n*\"-]{1,20}", end in "\r?\n") {
        for answer in ANSWERS {
            prop_assert_ne!(judge(&answer, format!("{line}{end}")), Judgement::Incomplete);
        }
    }

    #[test]
    fn any_bytes_can_be_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for answer in ANSWERS {
            if let Judgement::Accepted { end } = judge(&answer, &bytes) {
                prop_assert!(end <= bytes.len());
            }
        }
    }
}
