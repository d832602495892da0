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
use std::sync::Arc;

use tidegate_vrrp::config::Config;
use tidegate_vrrp::io::guard::Program;
use tidegate_vrrp::io::keeper::{self, Keeper, Report, Setup};
use tidegate_vrrp::io::{Event, Inbox, Vrrp};
use tidegate_vrrp::{State, Tracked, Transition};
use tokio::sync::mpsc::Receiver;
use tracing::{error, info, warn};

use crate::config::{Model, Watch};
use crate::control::{self, Feed};
use crate::dataplane::Leading;
use notify::Notifications;
pub(crate) use status::complete;
use watch::Watches;

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
}

struct Running {
    vrrp: Arc<Vrrp>,
    keeper: Keeper,
    events: Receiver<Event>,
    reports: Receiver<Report>,
    watches: Watches,
    notifications: Notifications,
    /// What was told last of each virtual server that is tracked.
    quorums: BTreeMap<Arc<str>, Tracked>,
}

/// Something that VRRP's thread or the keeper has to say.
pub(crate) enum News {
    Event(Event),
    Report(Report),
    /// The thread has ended, which it never should.
    Ended,
}

impl Failover {
    pub(crate) fn new(leading: Leading, feed: Feed) -> Self {
        Self { leading, feed, running: None }
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
        let Some(Running { events, reports, .. }) = &mut self.running else {
            return std::future::pending().await;
        };
        tokio::select! {
            event = events.recv() => event.map_or(News::Ended, News::Event),
            report = reports.recv() => report.map_or(News::Ended, News::Report),
        }
    }

    /// True when synchronisation daemons have to change their role.
    pub(crate) fn take(&mut self, news: News, model: &Model) -> bool {
        match news {
            News::Event(Event::Changed(transition)) => return self.changed(transition, model),
            News::Event(event) => log_event(&event),
            News::Report(Report::Link { interface, up }) => {
                if let Some(running) = &self.running {
                    running.vrrp.track(format!("interface {interface}").into(), tracked(up));
                }
            }
            News::Report(report) => log_report(&report),
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
        self.running = None;
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
        let configured = model.virtual_routers.iter().find(|it| it.router.name == *router);
        if let (Some(running), Some(notify)) = (&self.running, configured.and_then(|it| it.notify.as_ref())) {
            running.notifications.tell(notify, transition);
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
        Ok(Self {
            vrrp: Arc::new(vrrp),
            keeper,
            events,
            reports,
            watches: Watches::default(),
            notifications: Notifications::start(),
            quorums: BTreeMap::new(),
        })
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
        Report::Mended { .. } | Report::Guarded | Report::Link { .. } => info!("{report}"),
        Report::PutBack { .. } | Report::TakenOff { .. } => warn!("{report}"),
        Report::Failed { .. } | Report::Unguarded { .. } | Report::Trouble { .. } => error!("{report}"),
    }
}
