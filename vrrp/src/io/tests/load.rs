use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::director::{Director, router};
use crate::State;
use crate::config::{Family, Router};
use crate::io::namespace::Host;

/// How late adverts are while everybody is busy: printed, and only asserted to be far from what the others wait for.
#[tokio::test(flavor = "multi_thread")]
async fn adverts_are_sent_in_time_on_a_busy_host() {
    let [one, two] = Host::pair();
    let every =
        |priority| Arc::new(Router { interval: Duration::from_millis(10), ..router(Family::Ipv4, priority) });
    let mut high = Director::start(one, 1, vec![every(150)]);
    let low = Director::start(two, 2, vec![every(100)]);
    high.becomes(State::Active).await;

    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..16 {
        let stop = stop.clone();
        thread::spawn(move || while !stop.load(Relaxed) {});
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.store(true, Relaxed);

    let snapshot = high.vrrp.status().await.unwrap();
    eprintln!("{}: {:?}", snapshot.scheduling, snapshot.lateness);
    eprintln!("the other one: {} transitions", low.status().await.counters.transitions);
    assert!(snapshot.lateness.adverts > 100);
    assert!(snapshot.lateness.max < Duration::from_secs(1));
    assert_eq!(snapshot.lost, 0);
}
