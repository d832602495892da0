//! What is the kernel's own and no virtual server's: timeouts, and the connection synchronisation daemons.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_ipvs::table::{SyncDaemon, SyncRole, Timeouts};
use tidegate_ipvs::{Connection, Error};

use crate::config;

/// The virtual routers that are Active here: what synchronisation daemons follow. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Leading(Arc<Mutex<BTreeSet<Arc<str>>>>);

impl Leading {
    /// True when that is another state than before; the dataplanes are to look again then.
    pub fn set(&self, router: &Arc<str>, leads: bool) -> bool {
        let mut routers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if leads { routers.insert(router.clone()) } else { routers.remove(router) }
    }

    fn contains(&self, router: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(router)
    }
}

/// Brings about what is configured; what is not stays as it is, also daemons that somebody else has started.
pub(super) fn apply(
    connection: &mut Connection,
    settings: &config::Ipvs,
    leading: &Leading,
) -> Result<(), Error> {
    let timeouts = timeouts(settings.timeouts);
    if timeouts != UNCHANGED {
        connection.set_timeouts(&timeouts)?;
    }
    for configured in &settings.sync {
        let (role, other) = match &configured.role {
            config::SyncRole::Active => (SyncRole::Active, None),
            config::SyncRole::Backup => (SyncRole::Backup, None),
            config::SyncRole::Follows(router) if leading.contains(router) => {
                (SyncRole::Active, Some(SyncRole::Backup))
            }
            config::SyncRole::Follows(_) => (SyncRole::Backup, Some(SyncRole::Active)),
        };
        if let Some(other) = other {
            connection.stop_daemon(other)?;
        }
        if let Some(daemon) = sync_daemon(configured, role) {
            connection.start_daemon(&daemon)?;
        }
    }
    Ok(())
}

const UNCHANGED: Timeouts = Timeouts { tcp: 0, tcp_fin: 0, udp: 0 };

fn timeouts(it: config::IpvsTimeouts) -> Timeouts {
    let or_unchanged = |seconds: Option<u32>| seconds.unwrap_or(0);
    Timeouts { tcp: or_unchanged(it.tcp), tcp_fin: or_unchanged(it.tcp_fin), udp: or_unchanged(it.udp) }
}

/// None for a name that the configuration refuses.
fn sync_daemon(it: &config::SyncDaemon, role: SyncRole) -> Option<SyncDaemon> {
    Some(SyncDaemon {
        role,
        interface: it.interface.parse().ok()?,
        sync_id: it.sync_id,
        max_length: it.max_length,
        group: it.group,
        port: it.port,
        ttl: it.ttl,
    })
}
