//! A server without clients: the little that is kept of it is all that there is to know.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;

use crate::overload::cap::{Cap, Moment};
use crate::overload::checks::Checks;
use crate::overload::clients::Clients;
use crate::overload::sample::{Change, Load};
use crate::tests::support::{address, epoch};

#[derive(Debug, Clone)]
enum Step {
    Sample { seconds: f64, shedding: bool, pool_waits: bool, peers_rest: Option<f64> },
    Check { latency: f64, saturated: bool },
    Refused,
    LetGo,
}

fn step() -> impl Strategy<Value = Step> {
    let peers = select(vec![None, Some(0.1), Some(7.0)]);
    prop_oneof![
        4 => (0.1..2.5, any::<bool>(), any::<bool>(), peers).prop_map(
            |(seconds, shedding, pool_waits, peers_rest)| Step::Sample { seconds, shedding, pool_waits, peers_rest }
        ),
        2 => (0.001..2.0, any::<bool>()).prop_map(|(latency, saturated)| Step::Check { latency, saturated }),
        1 => Just(Step::Refused),
        1 => Just(Step::LetGo),
    ]
}

/// One server, known by what is kept of its clients and by a whole cap.
struct Twins {
    now: Instant,
    load: Load,
    clients: Clients,
    checks: Checks,
    cap: Cap,
    same_checks: Checks,
}

impl Twins {
    fn new() -> Twins {
        let load = Load {
            address: address(1),
            active: 0,
            begun: 0,
            failed: 0,
            established: Some(0),
            bytes_out: None,
        };
        let mut clients = Clients::default();
        clients.remember(&load);
        let (checks, same_checks) = (Checks::default(), Checks::default());
        Twins { now: epoch(), load, clients, checks, cap: Cap::default(), same_checks }
    }

    fn step(&mut self, step: &Step, connections: u64) {
        let now = self.now;
        match *step {
            Step::Sample { seconds, shedding, pool_waits, peers_rest } => {
                self.now += Duration::from_secs_f64(seconds);
                self.load.begun += connections;
                self.load.established = Some(self.load.begun);
                self.load.active = connections;
                let before = self.clients.load(self.load.address).unwrap();
                let change = Change::between(&before, &self.load, seconds);
                let active = self.load.active;
                let moment = Moment { now: self.now, active, shedding, pool_waits, peers_rest };
                self.clients.sample(&mut self.checks, moment, &self.load, &change);
                self.clients.remember(&self.load);
                self.cap.sample(&mut self.same_checks, moment, &change);
            }
            Step::Check { latency, saturated } => {
                if self.checks.take(now, Some(latency), saturated) {
                    self.clients.confirm(&self.checks);
                }
                if self.same_checks.take(now, Some(latency), saturated) {
                    self.cap.confirm(&self.same_checks);
                }
            }
            Step::Refused => {
                assert_eq!(self.checks.take(now, None, true), self.same_checks.take(now, None, true));
            }
            Step::LetGo => {
                self.clients.let_go(&mut self.checks, now);
                self.cap.let_go(&mut self.same_checks, now);
            }
        }
    }
}

proptest! {
    #[test]
    fn the_first_client_finds_all_that_was_known(
        quiet in prop::collection::vec(step(), 0..60),
        busy in prop::collection::vec((step(), 0_u64..200), 0..30),
    ) {
        let mut twins = Twins::new();
        for step in &quiet {
            twins.step(step, 0);
            prop_assert!(twins.clients.cap().is_none());
        }
        let first = Step::Sample { seconds: 0.5, shedding: false, pool_waits: false, peers_rest: None };
        for (step, connections) in std::iter::once(&(first, 40)).chain(&busy) {
            twins.step(step, *connections);
            let cap = twins.clients.cap().expect("somebody has come");
            prop_assert_eq!(format!("{cap:?}"), format!("{:?}", twins.cap));
        }
        prop_assert_eq!(format!("{:?}", twins.checks), format!("{:?}", twins.same_checks));
    }
}

#[test]
fn a_server_without_clients_is_small() {
    let size = size_of::<crate::overload::Guard>();
    assert!(size <= 216, "{size}");
    println!(
        "{size} {} {} {}",
        size_of::<Clients>(),
        size_of::<Checks>(),
        size_of::<crate::overload::Evidence>()
    );
}
