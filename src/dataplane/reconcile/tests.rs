//! The loop against a dataplane that somebody else changes and that fails now and then. Waits have wide limits.

use std::net::{Ipv4Addr, SocketAddr};

use super::super::{Attributes, Destination, Service};
use super::*;
use crate::config::Protocol;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct State {
    held: Table,
    broken: bool,
    unreadable: bool,
    accepting: bool,
    lost_a_part: bool,
    hangs: bool,
    /// Observed as a whole, and only what had changed.
    wholes: u32,
    parts: u32,
    /// A look at the whole goes on piece by piece until this is over.
    endless: bool,
    pieces: u32,
    counted: u32,
}

impl State {
    fn read(&self) -> Result<Table, Error> {
        if self.unreadable { Err(Error("gone".into())) } else { Ok(self.held.clone()) }
    }
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

impl Fake {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    async fn until(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let reached = async {
            while !self.with(|state| condition(state)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("in vain: {what}"));
    }
}

impl Dataplane for Fake {
    fn observe(&mut self, _desired: &Table) -> Result<Observed, Error> {
        self.with(|state| {
            state.pieces += 1;
            if !state.endless {
                state.wholes += 1;
            }
            Ok(Observed { table: state.read()?, is_last: !state.endless })
        })
    }

    fn observe_changed(&mut self, _desired: &Table) -> Result<Table, Error> {
        self.with(|state| {
            state.parts += 1;
            state.read()
        })
    }

    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), Error>> {
        self.with(|state| {
            let one = |change: &Change| {
                if state.broken {
                    return Err(Error("broken".into()));
                }
                super::super::plan::apply(&mut state.held, change);
                Ok(())
            };
            changes.iter().map(one).collect()
        })
    }

    fn counters(&mut self) -> Poll<Option<Counters>> {
        self.with(|state| {
            state.counted += 1;
            if state.counted % 3 == 0 { Poll::Ready(Some(Counters::default())) } else { Poll::Pending }
        })
    }

    fn stop_accepting(&mut self) {
        self.with(|state| state.accepting = false);
    }

    fn active(&mut self) -> Option<u64> {
        while self.with(|state| state.hangs) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(7)
    }

    fn is_whole(&self) -> bool {
        !self.with(|state| state.lost_a_part)
    }
}

fn table(weight: u32) -> Arc<Table> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let attributes = Attributes::plain();
    let destinations = [(address, Destination::new(weight))].into();
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address };
    Arc::new(Table::from([(key, Arc::new(Service { attributes, destinations }))]))
}

fn start(resync: Duration) -> (Fake, Reconciler, mpsc::Receiver<(DataplaneKind, Report)>) {
    let fake = Fake::default();
    let (reports, received) = mpsc::channel(4);
    (
        fake.clone(),
        Reconciler::start(DataplaneKind::Proxy, Box::new(fake), resync, reports).unwrap(),
        received,
    )
}

#[tokio::test]
async fn what_is_becomes_what_should_be_and_drift_is_mended() {
    let (fake, reconciler, _reports) = start(Duration::from_millis(50));
    reconciler.set_desired(table(1));
    fake.until("the first table", |state| state.held == *table(1)).await;
    reconciler.set_desired(table(2));
    fake.until("the second table", |state| state.held == *table(2)).await;

    fake.with(|state| state.held.clear());

    fake.until("the drift to be mended", |state| state.held == *table(2)).await;
}

#[tokio::test]
async fn the_whole_is_observed_at_first_and_after_an_error_and_else_what_has_changed() {
    let (fake, reconciler, _reports) = start(Duration::from_secs(3600));
    reconciler.set_desired(table(1));
    fake.until("the first table", |state| state.held == *table(1)).await;
    assert_eq!(fake.with(|state| (state.wholes, state.parts)), (1, 0));

    fake.with(|state| state.broken = true);
    reconciler.set_desired(table(2));
    fake.until("a second attempt", |state| state.wholes == 2).await;
    assert_eq!(fake.with(|state| state.parts), 1);
    fake.with(|state| state.broken = false);
    fake.until("the second table", |state| state.held == *table(2)).await;

    let before = fake.with(|state| state.wholes);
    reconciler.set_desired(table(3));
    fake.until("the third table", |state| state.held == *table(3)).await;
    assert_eq!(fake.with(|state| (state.wholes, state.parts)), (before, 2));
}

#[tokio::test]
async fn changes_do_not_put_off_the_comparison_of_the_whole() {
    let (fake, reconciler, _reports) = start(Duration::from_millis(200));
    let changes = tokio::spawn(async move {
        for weight in (1..=2).cycle() {
            reconciler.set_desired(table(weight));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });

    fake.until("the whole to be observed again", |state| state.wholes >= 3 && state.parts > 0).await;
    changes.abort();
}

#[tokio::test]
async fn a_change_waits_for_no_look_and_no_counters() {
    let (fake, reconciler, mut reports) = start(Duration::from_millis(50));
    fake.with(|state| state.endless = true);
    reconciler.set_desired(table(1));
    fake.until("the first look to go on", |state| state.pieces > 3).await;
    assert!(reports.try_recv().is_err(), "nothing is known before its end");

    reconciler.set_desired(table(2));
    fake.until("the change", |state| state.parts == 1 && state.held == *table(2)).await;
    assert!(reconciler.counter_source().read(PATIENCE).await.is_some(), "nor do the counters wait");
    fake.with(|state| state.broken = true);
    reconciler.set_desired(table(3));
    fake.until("the change that cannot be made", |state| state.parts == 2).await;
    assert_eq!(fake.with(|state| state.wholes), 0);
    fake.with(|state| state.endless = false);

    let (_, report) = tokio::time::timeout(PATIENCE, reports.recv()).await.unwrap().unwrap();
    assert_eq!(report.errors.len(), 1, "told at the end of the look");
    fake.with(|state| state.broken = false);
    fake.until("the third table", |state| state.held == *table(3)).await;
}

#[tokio::test]
async fn an_error_is_reported_once_tried_again_and_reported_as_gone() {
    let (fake, reconciler, mut reports) = start(Duration::from_millis(50));
    fake.with(|state| state.broken = true);
    reconciler.set_desired(table(1));
    let (_, report) = tokio::time::timeout(PATIENCE, reports.recv()).await.unwrap().unwrap();
    assert_eq!(report.errors.into_values().collect::<Vec<_>>(), [Error("broken".into())]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(reports.try_recv().is_err(), "the same error again is no news");

    fake.with(|state| (state.broken, state.unreadable) = (false, true));
    let (_, report) = tokio::time::timeout(PATIENCE, reports.recv()).await.unwrap().unwrap();
    assert_eq!(report.unreadable, Some(Error("gone".into())));
    fake.with(|state| state.unreadable = false);

    let (_, report) = tokio::time::timeout(PATIENCE, reports.recv()).await.unwrap().unwrap();
    assert_eq!(report, Report::default());
    assert!(fake.with(|state| state.held == *table(1)));
}

#[tokio::test]
async fn a_crowd_that_asks_for_counters_does_not_put_off_the_comparison() {
    let (fake, reconciler, _reports) = start(Duration::from_millis(50));
    reconciler.set_desired(table(1));
    fake.until("the table", |state| state.held == *table(1)).await;
    let source = reconciler.counter_source();
    let crowd = tokio::spawn(async move { while source.read(PATIENCE).await.is_some() {} });

    fake.with(|state| state.held.clear());

    fake.until("the drift to be mended", |state| state.held == *table(1)).await;
    crowd.abort();
}

#[tokio::test]
async fn once_told_to_stop_it_accepts_nothing_again() {
    let (fake, reconciler, _reports) = start(Duration::from_millis(20));
    fake.with(|state| state.accepting = true);
    reconciler.stop_accepting();
    fake.until("the stop", |state| !state.accepting).await;

    reconciler.set_desired(table(1));

    assert_eq!(reconciler.active(PATIENCE).await, Some(7));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(fake.with(|state| state.held.is_empty()));
    assert!(reconciler.is_running());
}

#[tokio::test]
async fn a_dataplane_that_hangs_holds_nobody_up_and_misses_no_order() {
    let (fake, reconciler, _reports) = start(Duration::from_secs(3600));
    fake.with(|state| state.hangs = true);
    // As many as the queue has room for, and more; who asked gives up.
    for _ in 0..2 * QUEUE {
        assert_eq!(reconciler.active(Duration::from_millis(1)).await, None);
    }
    reconciler.set_desired(table(1));
    let turns = reconciler.turns();
    tokio::time::sleep(2 * LOOK).await;
    assert_eq!(reconciler.turns(), turns, "one can see that it hangs");

    fake.with(|state| state.hangs = false);

    fake.until("the table in spite of the full queue", |state| state.held == *table(1)).await;
    let goes_on = async {
        while reconciler.turns() < turns + QUEUE as u64 + 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, goes_on).await.expect("it turns with nothing to do as well");
    assert_eq!(reconciler.active(PATIENCE).await, Some(7));
}

#[tokio::test]
async fn a_report_without_room_is_made_again_soon() {
    let fake = Fake::default();
    let (report, mut reports) = mpsc::channel(1);
    let resync = Duration::from_secs(3600);
    let reconciler = Reconciler::start(DataplaneKind::Proxy, Box::new(fake.clone()), resync, report).unwrap();
    fake.with(|state| state.broken = true);
    reconciler.set_desired(table(1));
    let reported = async {
        while reports.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reported).await.unwrap();

    fake.with(|state| state.broken = false);
    fake.until("the table", |state| state.held == *table(1)).await;

    let mut next = async || tokio::time::timeout(PATIENCE, reports.recv()).await.unwrap().unwrap().1;
    assert_eq!(next().await.errors.len(), 1);
    assert_eq!(next().await, Report::default());
}

#[tokio::test]
async fn the_thread_ends_when_the_dataplane_has_lost_a_part() {
    let (fake, reconciler, _reports) = start(Duration::from_secs(3600));
    assert!(reconciler.is_running());

    fake.with(|state| state.lost_a_part = true);

    let noticed = async {
        while reconciler.is_running() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, noticed).await.unwrap();
}
