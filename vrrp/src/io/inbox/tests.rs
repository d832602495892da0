use std::thread;

use super::*;

fn track(key: usize) -> Told {
    Told::Track { key: key.to_string().into(), state: Tracked::Up }
}

fn keys(batch: &mut Vec<Told>) -> Vec<String> {
    let keys = batch.drain(..).map(|told| match told {
        Told::Track { key, .. } => key.to_string(),
        _ => panic!("only tracks are told"),
    });
    keys.collect()
}

#[test]
fn everything_is_taken_in_order() {
    let inbox = Inbox::new().unwrap();
    let told = inbox.clone();
    let teller = thread::spawn(move || (0..10_000).for_each(|key| told.tell(track(key))));
    let (mut batch, mut taken) = (Vec::new(), Vec::new());
    while taken.len() < 10_000 {
        inbox.take(&mut batch);
        taken.extend(keys(&mut batch));
    }
    teller.join().unwrap();
    assert!(taken.into_iter().eq((0..10_000).map(|key| key.to_string())));
}

#[test]
fn nobody_waits_for_whoever_holds_the_lock() {
    let inbox = Inbox::new().unwrap();
    inbox.tell(track(1));
    let mut batch = Vec::new();
    {
        let _held = inbox.0.waiting.lock();
        inbox.take(&mut batch);
        assert!(batch.is_empty());
    }
    inbox.tell(track(2));
    inbox.take(&mut batch);
    assert_eq!(keys(&mut batch), ["1", "2"]);
}

#[test]
fn who_asks_a_closed_inbox_learns_that_there_is_no_answer() {
    let inbox = Inbox::new().unwrap();
    let (before, waited) = oneshot::channel();
    inbox.tell(Told::Status(before));
    inbox.close();
    assert!(waited.blocking_recv().is_err());
    let (after, waited) = oneshot::channel();
    inbox.tell(Told::Status(after));
    assert!(waited.blocking_recv().is_err());
}
