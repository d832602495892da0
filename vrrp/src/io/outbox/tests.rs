use std::time::Duration;

use super::*;

fn event() -> Errand {
    Errand::Tell(Event::Late { router: "front".into(), by: Duration::ZERO })
}

#[tokio::test]
async fn what_nobody_takes_is_counted_and_nobody_waits() {
    let (mut outbox, mut events) = start(Inbox::new().unwrap()).unwrap();
    let told = 3 * WAITING;
    for _ in 0..told {
        outbox.put(event());
    }
    let lost = outbox.lost.clone();
    drop(outbox);
    let mut taken = 0;
    while events.recv().await.is_some() {
        taken += 1;
    }
    assert!(taken >= WAITING, "{taken}");
    // The end of the events is the end of the clerk, who has lost no more since.
    assert_eq!(taken + usize::try_from(lost.load(Relaxed)).unwrap(), told);
}

#[tokio::test]
async fn answers_come_while_events_are_not_taken() {
    let (mut outbox, _events) = start(Inbox::new().unwrap()).unwrap();
    while outbox.lost() == 0 {
        outbox.put(event());
    }
    let (reply, answer) = oneshot::channel();
    let mut errand = Some(Errand::Reply(reply, Ok(())));
    // There is room again as soon as the clerk has run.
    while outbox.errands.is_full() {
        tokio::task::yield_now().await;
    }
    assert!(outbox.put(errand.take().unwrap()));
    assert_eq!(answer.await, Ok(Ok(())));
}
