//! Against the kernel's own family for families, which every kernel has and anybody may ask.

use std::ffi::CString;
use std::time::Duration;

use rustix::io::Errno;

use super::{BATCH, Link};
use crate::clock;
use crate::socket::Fault;
use crate::wire::{CONTROL_FAMILY, ControlAttribute, FamilyLookup};

const PATIENCE: Duration = Duration::from_secs(30);

fn lookup(name: &str) -> FamilyLookup {
    FamilyLookup(vec![ControlAttribute::FamilyName(CString::new(name).unwrap())])
}

#[test]
fn a_question_gets_its_own_answer() {
    let mut link = Link::open().unwrap();
    let deadline = clock::now() + PATIENCE;
    for _ in 0..2 {
        let answers = link.ask(CONTROL_FAMILY, vec![lookup("nlctrl")], deadline).unwrap();
        let ids: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().id()).collect();
        assert_eq!(ids, [Some(CONTROL_FAMILY)]);
        let refused = link.ask(CONTROL_FAMILY, vec![lookup("no such one")], deadline).unwrap();
        assert_eq!(refused.into_iter().map(Result::unwrap_err).collect::<Vec<_>>(), [Errno::NOENT]);
    }
}

#[test]
fn a_dump_ends() {
    let mut link = Link::open().unwrap();
    let answers = link.dump(CONTROL_FAMILY, FamilyLookup(Vec::new()), clock::now() + PATIENCE).unwrap();
    assert!(answers.iter().any(|answer| answer.id() == Some(CONTROL_FAMILY)), "{answers:?}");
}

#[test]
fn each_of_many_messages_gets_its_own_answer() {
    let mut link = Link::open().unwrap();
    for round in 0..3 {
        let wrong = |place: usize| (place + round).is_multiple_of(3);
        let messages = (0..BATCH).map(|place| lookup(if wrong(place) { "no such one" } else { "nlctrl" }));
        let answers = link.exchange(CONTROL_FAMILY, messages.collect(), clock::now() + PATIENCE).unwrap();
        assert_eq!(answers.len(), BATCH);
        for (place, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer, if wrong(place) { Err(Errno::NOENT) } else { Ok(()) }, "{round} {place}");
        }
    }
}

#[test]
fn each_of_many_questions_gets_its_own_answer() {
    let mut link = Link::open().unwrap();
    let names = ["nlctrl", "no such one", "nlctrl"];
    let questions = names.into_iter().map(lookup).collect();
    let answers = link.ask(CONTROL_FAMILY, questions, clock::now() + PATIENCE).unwrap();
    let ids: Vec<_> = answers.into_iter().map(|it| it.map(|answer| answer.id())).collect();
    assert_eq!(ids, [Ok(Some(CONTROL_FAMILY)), Err(Errno::NOENT), Ok(Some(CONTROL_FAMILY))]);
}

#[test]
fn nobody_waits_for_what_never_comes_beyond_the_deadline() {
    let mut link = Link::open().unwrap();
    let begun = clock::now();
    let answer = link.receive::<FamilyLookup>(begun + Duration::from_millis(50));
    assert_eq!(answer.unwrap_err(), Fault::TimedOut);
    let waited = clock::now() - begun;
    assert!(waited >= Duration::from_millis(50) && waited < PATIENCE, "{waited:?}");
}

#[test]
fn nothing_is_sent_after_the_deadline() {
    let mut link = Link::open().unwrap();
    let late = clock::now();
    assert_eq!(link.exchange(CONTROL_FAMILY, vec![lookup("nlctrl")], late), Err(Fault::TimedOut));
    assert_eq!(link.dump(CONTROL_FAMILY, lookup("nlctrl"), late), Err(Fault::TimedOut));
    let nothing = link.receive::<FamilyLookup>(clock::now() + Duration::from_millis(20));
    assert_eq!(nothing.unwrap_err(), Fault::TimedOut);
}
