//! A host with VRRP's thread, and a keeper that only takes notes.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{mem, thread};

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::config::{Announce, Checksum, Config, Family, Peers, Router, Version};
use crate::io::namespace::Host;
use crate::io::{Event, Inbox, Link, Orders, Vrrp};
use crate::{RouterStatus, State, Transition};

/// Longer than anything that is waited for, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Director {
    pub host: Host,
    pub vrrp: Vrrp,
    pub inbox: Inbox,
    /// For how long the thread stands still at the next order to hold.
    pub pause: Arc<Mutex<Duration>>,
    events: mpsc::Receiver<Event>,
    orders: mpsc::UnboundedReceiver<Order>,
}

/// What the keeper was told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Hold,
    Announce,
    Release,
}

struct Notes {
    orders: mpsc::UnboundedSender<Order>,
    pause: Arc<Mutex<Duration>>,
}

impl Orders for Notes {
    fn hold(&self, _: &Arc<str>) {
        let _ended = self.orders.send(Order::Hold);
        thread::sleep(mem::take(&mut self.pause.lock().unwrap()));
    }
    fn announce(&self, _: &Arc<str>) {
        let _ended = self.orders.send(Order::Announce);
    }
    fn release(&self, _: &Arc<str>) {
        let _ended = self.orders.send(Order::Release);
    }
}

impl Director {
    /// Starts the thread there; the host is the one with this number of a pair.
    pub(super) fn start(host: Host, number: u8, routers: Vec<Arc<Router>>) -> Self {
        let inbox = Inbox::new().unwrap();
        let (sender, orders) = mpsc::unbounded_channel();
        let pause = Arc::new(Mutex::default());
        let notes = Notes { orders: sender, pause: Arc::clone(&pause) };
        let config = Config { routers };
        let told = inbox.clone();
        let (vrrp, events) = host.run(move || Vrrp::start(config, told, notes)).unwrap();
        let this = Self { host, vrrp, inbox, pause, events, orders };
        this.inbox.link(this.link(number));
        this
    }

    /// `eth0` as it is.
    pub(super) fn link(&self, number: u8) -> Link {
        let sources = [Family::Ipv4, Family::Ipv6].map(|family| address(family, number));
        let index = self.host.index("eth0").get();
        Link { interface: "eth0".into(), index, up: true, sources: sources.into() }
    }

    /// The next event that says something about it.
    pub(super) async fn event<T>(&mut self, mut what: impl FnMut(Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the thread runs");
                if let Some(found) = what(event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the event comes")
    }

    /// The transition to this state.
    pub(super) async fn becomes(&mut self, state: State) -> Transition {
        self.event(|event| match event {
            Event::Changed(transition) if transition.to == state => Some(transition),
            _ => None,
        })
        .await
    }

    /// The next order.
    pub(super) async fn order(&mut self) -> Order {
        timeout(PATIENCE, self.orders.recv()).await.expect("the order comes").expect("the thread runs")
    }

    /// The only router's status.
    pub(super) async fn status(&self) -> RouterStatus {
        let snapshot = self.vrrp.status().await.expect("the thread runs");
        snapshot.routers.first().cloned().expect("there is a router")
    }
}

/// The address of the host with this number of a pair.
pub(super) fn address(family: Family, number: u8) -> IpAddr {
    match family {
        Family::Ipv4 => [10, 0, 0, number].into(),
        Family::Ipv6 => [0xfe80, 0, 0, 0, 0, 0, 0, number.into()].into(),
    }
}

/// A router on `eth0` with adverts every tenth of a second.
pub(in crate::io) fn router(family: Family, priority: u8) -> Router {
    Router {
        name: "front".into(),
        interface: "eth0".into(),
        router_id: 7,
        version: Version::V3,
        family,
        priority,
        interval: Duration::from_millis(100),
        preempt: true,
        preempt_delay: Duration::ZERO,
        peers: Peers::Multicast,
        source: None,
        authentication: None,
        checksum: Checksum::PseudoHeader,
        addresses: [address(family, 100)].into(),
        announce: Announce::default(),
        group: None,
        tracks: Vec::new(),
    }
}
