//! Virtual routers at work.
//!
//! ```text
//!   event loop ──configuration, quorums──► Failover ──► VRRP's thread ──► keeper's thread
//!   event loop ◄──────── News ────────────┘  ▲ tracked        │ transitions
//!                                  watches ──┘                └──► notification scripts, in order
//! ```
//!
//! VRRP's thread and the keeper wait for nothing here: what is told to them is put into their queues, and what they
//! tell is lost, and counted, rather than waited with.

mod notify;
mod status;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tidegate_vrrp::config::Config;
use tidegate_vrrp::io::guard::Program;
use tidegate_vrrp::io::keeper::{self, Keeper, Report, Setup};
use tidegate_vrrp::io::{Event, Inbox, Vrrp};
use tidegate_vrrp::{RouterStatus, State, Tracked, Transition};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::config::{Model, Notify, VirtualRouter, Watch};
use crate::control::{self, Feed};
use crate::dataplane::Leading;
use notify::Notifications;
pub(crate) use status::complete;
use watch::Watches;

const LOOK_FOR_LOSSES: Duration = Duration::from_secs(1);

/// Why the virtual routers do not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A thread, a socket or a right is missing.
    #[error(
        "the virtual routers cannot run: {0} (they need CAP_NET_ADMIN and CAP_NET_RAW; without [[vrrp]] neither is \
         needed)"
    )]
    System(#[from] io::Error),
}

/// The event loop's end of everything about virtual routers. Costs nothing until the first is configured.
pub(crate) struct Failover {
    leading: Leading,
    feed: Feed,
    running: Option<Running>,
    /// Once it has ended: the last notification scripts.
    telling: Option<JoinHandle<()>>,
}

struct Running {
    vrrp: Arc<Vrrp>,
    keeper: Keeper,
    events: Receiver<Event>,
    reports: Receiver<Report>,
    watches: Watches,
    notifications: Notifications,
    /// What is run for each router, also for one that is not configured any more until it has let go.
    notify: BTreeMap<Arc<str>, Notify>,
    /// States that are told anew because some changes were lost.
    corrections: Receiver<Correction>,
    /// What was told last of each virtual server that is tracked.
    quorums: BTreeMap<Arc<str>, Tracked>,
}

/// Which routers are Active, where changes may have been lost.
pub(crate) struct Correction {
    lost: u64,
    active: BTreeMap<Arc<str>, bool>,
}

/// Something that VRRP's thread or the keeper has to say.
pub(crate) enum News {
    Event(Event),
    Report(Report),
    Correction(Correction),
    /// The thread has ended, which it never should.
    Ended,
}

impl Failover {
    pub(crate) fn new(leading: Leading, feed: Feed) -> Self {
        Self { leading, feed, running: None, telling: None }
    }

    /// From now on these virtual routers. To be called inside the runtime.
    pub(crate) fn configure(&mut self, model: &Model) -> Result<(), StartError> {
        let config =
            Config { routers: model.virtual_routers.iter().map(|it| Arc::clone(&it.router)).collect() };
        let setup = Setup { config: config.clone(), holdings: holdings(model), watched: watched(model) };
        let running = match &mut self.running {
            Some(running) => {
                running.keeper.configure(setup);
                running.vrrp.reload(config);
                running
            }
            None if config.routers.is_empty() => return Ok(()),
            None => self.running.insert(Running::start(setup, config)?),
        };
        running.watches.update(&running.vrrp, &model.watches);
        for VirtualRouter { router, notify, .. } in &model.virtual_routers {
            match notify {
                Some(notify) => drop(running.notify.insert(Arc::clone(&router.name), notify.clone())),
                None => drop(running.notify.remove(&router.name)),
            }
        }
        let tracked = model.watches.values().filter_map(|watch| match watch {
            Watch::Quorum(virtual_server) => Some(Arc::clone(virtual_server)),
            _ => None,
        });
        let mut told = std::mem::take(&mut running.quorums);
        running.quorums =
            tracked.map(|name| (Arc::clone(&name), told.remove(&name).unwrap_or_default())).collect();
        Ok(())
    }

    /// What comes next. Never ends while there are no virtual routers. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> News {
        let Some(Running { events, reports, corrections, .. }) = &mut self.running else {
            return std::future::pending().await;
        };
        tokio::select! {
            event = events.recv() => event.map_or(News::Ended, News::Event),
            report = reports.recv() => report.map_or(News::Ended, News::Report),
            Some(correction) = corrections.recv() => News::Correction(correction),
        }
    }

    /// True when synchronisation daemons have to change their role.
    pub(crate) fn take(&mut self, news: News, model: &Model) -> bool {
        match news {
            News::Event(Event::Changed(transition)) => return self.changed(transition, model),
            News::Event(event) => log_event(&event),
            News::Report(report) => log_report(&report),
            News::Correction(Correction { lost, active }) => {
                warn!(lost, "changes of virtual routers were told to nobody: the director was too busy");
                return active
                    .iter()
                    .fold(false, |changed, (router, is)| self.leading.set(router, *is) || changed);
            }
            News::Ended => {}
        }
        false
    }

    /// Names of the virtual servers whose quorum is tracked.
    pub(crate) fn tracked_quorums(&self) -> impl Iterator<Item = &Arc<str>> {
        self.running.iter().flat_map(|running| running.quorums.keys())
    }

    /// What has become of the quorum of a virtual server; none: nothing is decided yet.
    pub(crate) fn quorum(&mut self, virtual_server: &str, held: Option<bool>) {
        let Some(running) = &mut self.running else { return };
        let Some(told) = running.quorums.get_mut(virtual_server) else { return };
        let state = held.map_or(Tracked::Unknown, tracked);
        if std::mem::replace(told, state) != state {
            running.vrrp.track(format!("virtual_server {virtual_server}").into(), state);
        }
    }

    /// Takes off whatever is still held, and ends. To be called once VRRP's thread has ended.
    pub(crate) fn end(&mut self) {
        self.telling = self.running.take().map(|Running { keeper, notifications, .. }| {
            keeper.end();
            notifications.end()
        });
    }

    /// Whether nothing runs, the last notification scripts included.
    pub(crate) fn has_ended(&self) -> bool {
        self.running.is_none() && self.telling.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The thread, to be asked by whoever can wait.
    pub(crate) fn vrrp(&self) -> Option<Arc<Vrrp>> {
        self.running.as_ref().map(|running| Arc::clone(&running.vrrp))
    }

    fn changed(&mut self, transition: Transition, model: &Model) -> bool {
        let Transition { router, from, to, reason } = &transition;
        match to {
            State::Initialize => {
                warn!(virtual_router = %router, %from, %to, %reason, "virtual router takes no part")
            }
            State::Backup => info!(virtual_router = %router, %from, %to, %reason, "virtual router stands by"),
            State::Active => {
                warn!(virtual_router = %router, %from, %to, %reason, "virtual router holds the addresses")
            }
            State::Resigning => info!(
                virtual_router = %router, %from, %to, %reason,
                "virtual router has resigned and serves until it hears its successor"
            ),
        }
        self.feed.tell(control::Event::VirtualRouter {
            virtual_router: Arc::clone(router),
            from: from.to_string(),
            to: to.to_string(),
            reason: reason.to_string(),
        });
        let leads = self.leading.set(router, *to == State::Active);
        let Some(running) = &mut self.running else { return leads };
        let is_configured = model.virtual_routers.iter().any(|it| it.router.name == *router);
        let has_gone = !is_configured && *to == State::Initialize;
        if let Some(notify) = running.notify.get(router) {
            running.notifications.tell(notify, transition.clone());
        }
        if has_gone {
            running.notify.remove(router);
        }
        leads
    }
}

impl Running {
    fn start(setup: Setup, config: Config) -> io::Result<Self> {
        let inbox = Inbox::new()?;
        let guard = Program { path: "/proc/self/exe".into(), arguments: vec!["guard".into()] };
        let settings = keeper::Settings { inbox: inbox.clone(), guard: Some(guard) };
        let (keeper, orders, reports) = Keeper::start(settings)?;
        keeper.configure(setup);
        let (vrrp, events) = Vrrp::start(config, inbox, orders)?;
        let vrrp = Arc::new(vrrp);
        let (correct, corrections) = channel(1);
        tokio::spawn(watch_losses(Arc::downgrade(&vrrp), correct));
        Ok(Self {
            vrrp,
            keeper,
            events,
            reports,
            watches: Watches::default(),
            notifications: Notifications::start(),
            notify: BTreeMap::new(),
            corrections,
            quorums: BTreeMap::new(),
        })
    }
}

/// What is level and not edge, such as the role of a synchronisation daemon, must not hang on an event that was lost.
async fn watch_losses(vrrp: Weak<Vrrp>, correct: Sender<Correction>) {
    let mut known = 0;
    loop {
        tokio::time::sleep(LOOK_FOR_LOSSES).await;
        let Some(vrrp) = vrrp.upgrade() else { return };
        let Some(snapshot) = vrrp.status().await else { return };
        if snapshot.lost > known {
            let is_active = |it: &RouterStatus| (Arc::clone(&it.router.name), it.state == State::Active);
            let active = snapshot.routers.iter().map(is_active).collect();
            if correct.send(Correction { lost: snapshot.lost - known, active }).await.is_err() {
                return;
            }
            known = snapshot.lost;
        }
    }
}

fn holdings(model: &Model) -> BTreeMap<Arc<str>, Arc<tidegate_vrrp::holding::Holding>> {
    let named = model.virtual_routers.iter().map(|it| (Arc::clone(&it.router.name), Arc::clone(&it.holding)));
    named.collect()
}

fn watched(model: &Model) -> BTreeSet<Arc<str>> {
    let interfaces = model.watches.values().filter_map(|watch| match watch {
        Watch::Interface(interface) => Some(Arc::clone(interface)),
        _ => None,
    });
    interfaces.collect()
}

fn tracked(up: bool) -> Tracked {
    if up { Tracked::Up } else { Tracked::Down }
}

fn log_event(event: &Event) {
    match event {
        Event::Changed(_) => {}
        Event::Started(scheduling) if scheduling.is_full() => info!(%scheduling, "virtual routers run"),
        Event::Started(scheduling) => {
            warn!(%scheduling, "virtual routers run, but a busy host may make their adverts late");
        }
        Event::SendFailed { router, destination, error } => {
            error!(virtual_router = %router, %destination, %error, "adverts cannot be sent; trying again with each");
        }
        Event::SendRecovered { router, destination, failed } => {
            info!(virtual_router = %router, %destination, failed, "adverts can be sent again");
        }
        Event::ListenFailed { interface, family, error } => {
            error!(%interface, %family, %error, "adverts cannot be heard: the interface counts as down; trying again");
        }
        Event::Late { router, by } => {
            let late_ms = by.as_secs_f64() * 1e3;
            warn!(virtual_router = %router, late_ms, "an advert was late by more than an interval: the host is too busy");
        }
    }
}

fn log_report(report: &Report) {
    match report {
        Report::Mended { .. } | Report::Guarded => info!("{report}"),
        Report::PutBack { .. } | Report::TakenOff { .. } => warn!("{report}"),
        Report::Failed { .. } | Report::Unguarded { .. } | Report::Trouble { .. } => error!("{report}"),
    }
}
