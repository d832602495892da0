//! The kernel's connection synchronisation follows a virtual router.

use tidegate_integration::clock::wait_for;
use tidegate_integration::failover::{Router, launch, wait_for_holder};
use tidegate_integration::lab::{Lab, ipvsadm, output_of};
use tidegate_integration::namespace::{Lan, in_namespace};

use super::{HOSTS, PATIENCE};

#[test]
fn the_active_director_sends_its_connections() {
    Lab::default().with_program().run(|| {
        output_of("modprobe", &["-a", "ip_vs", "veth", "bridge"]);
        let (lan, router) = (Lan::new(2), Router::new(100, std::time::Duration::from_secs(1)));
        let sync = "[[director.ipvs.sync]]\nfollow = \"r100\"\ninterface = \"eth0\"\nsync_id = 7\n";
        let start = |host: u8, priority| {
            launch(&lan, host).start(&(sync.to_owned() + &router.tidegate(host, priority)))
        };
        let directors = [start(1, 150), start(2, 100)];
        let follows = |active: u8| {
            wait_for_holder("an election", &lan, &HOSTS, std::slice::from_ref(&router), active, PATIENCE);
            for host in HOSTS {
                let role = if host == active { "master" } else { "backup" };
                wait_for(&format!("host {host} to be {role}"), PATIENCE, || {
                    let daemons = in_namespace(&lan.host(host), || ipvsadm(&["-L", "--daemon"]));
                    (daemons.contains(&format!("{role} sync daemon"))
                        && daemons.matches("sync daemon").count() == 1)
                        .then_some(())
                });
            }
        };
        follows(1);
        assert!(directors[0].command(&["failover", "r100"]).status.success());
        follows(2);
    });
}
