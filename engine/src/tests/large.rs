//! The size that an engine must stand: 37,205 real servers in 2,277 virtual servers.

use std::net::SocketAddr;
use std::time::Duration;

use super::support::*;
use crate::*;

const VIRTUAL_SERVERS: usize = 2_277;
const REAL_SERVERS: usize = 37_205;

fn config() -> Config {
    let mut config = Config::default();
    for index in 0..VIRTUAL_SERVERS {
        let pool = (index..REAL_SERVERS).step_by(VIRTUAL_SERVERS);
        let servers = pool.map(|id| RealServer {
            address: SocketAddr::from(((id as u32).to_be_bytes(), 80)),
            weight: 10,
            max_connections: 0,
            probes: [ProbeId(id as u64)].into(),
        });
        config.virtual_servers.push(VirtualServer {
            name: format!("server {index}").into(),
            slow_start: Duration::from_secs(10),
            real_servers: servers.collect(),
            ..web(&[check("c")], &[])
        });
    }
    config
}

#[test]
fn everything_recovers_at_once_and_ramps() {
    let mut bench = Bench::new(config());
    for kind in [OutcomeKind::Refused, OutcomeKind::Passed, OutcomeKind::Passed] {
        for id in 0..REAL_SERVERS {
            let _ = bench.see(ProbeId(id as u64), kind);
        }
    }
    for _ in 0..9 {
        let deadline = bench.engine.deadline().unwrap();
        assert_eq!(bench.later(deadline - bench.now).changed.len(), VIRTUAL_SERVERS);
    }
    assert_eq!(bench.engine.deadline(), None);
    let whole = |server: VirtualServerStatus<'_>| server.real_servers().all(|server| server.weight == 10);
    assert!(bench.engine.status().all(whole));
    assert_eq!(bench.reload(config()), Effects::default());
}

#[test]
fn a_real_server_that_nothing_happened_to_is_small() {
    use std::mem::size_of;
    let sizes = [
        size_of::<crate::real_server::RealServer>(),
        size_of::<crate::check::Check>(),
        size_of::<crate::engine::Subscriber>(),
    ];
    assert!(sizes.iter().sum::<usize>() <= 256, "{sizes:?}");
}
