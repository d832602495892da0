//! What is the kernel's own and no virtual server's: timeouts, and the connection synchronisation daemons.

use tidegate_ipvs::table::{SyncDaemon, SyncRole, Timeouts};
use tidegate_ipvs::{Connection, Error};

use crate::config;

/// Brings about what is configured; what is not stays as it is, also daemons that somebody else has started.
pub(super) fn apply(connection: &mut Connection, settings: &config::Ipvs) -> Result<(), Error> {
    let timeouts = timeouts(settings.timeouts);
    if timeouts != UNCHANGED {
        connection.set_timeouts(&timeouts)?;
    }
    settings.sync.iter().filter_map(sync_daemon).try_for_each(|daemon| connection.start_daemon(&daemon))
}

const UNCHANGED: Timeouts = Timeouts { tcp: 0, tcp_fin: 0, udp: 0 };

fn timeouts(it: config::IpvsTimeouts) -> Timeouts {
    let or_unchanged = |seconds: Option<u32>| seconds.unwrap_or(0);
    Timeouts { tcp: or_unchanged(it.tcp), tcp_fin: or_unchanged(it.tcp_fin), udp: or_unchanged(it.udp) }
}

/// None for a name that the configuration refuses.
fn sync_daemon(it: &config::SyncDaemon) -> Option<SyncDaemon> {
    Some(SyncDaemon {
        role: match it.role {
            config::SyncRole::Active => SyncRole::Active,
            config::SyncRole::Backup => SyncRole::Backup,
        },
        interface: it.interface.parse().ok()?,
        sync_id: it.sync_id,
        max_length: it.max_length,
        group: it.group,
        port: it.port,
        ttl: it.ttl,
    })
}
