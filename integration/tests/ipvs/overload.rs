//! Caps in the site's table: enforced while the director runs, corrected by a successor, lifted by one that stops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate_integration::clock::wait_for;
use tidegate_integration::lab::{Lab, ipvsadm, quiet};
use tidegate_integration::peak::{Phase, Place, Server, Site, virtual_server};

use super::PATIENCE;

const SERVERS: usize = 3;
const CAP: u32 = 6;

/// Upper and lower thresholds with active and inactive connections, of each real server.
fn thresholds(site: &Site) -> Vec<[u32; 4]> {
    let text = site.on_director(|| ipvsadm(&["-Ln", "--thresholds"]));
    let places = text.lines().filter_map(|line| line.trim_start().strip_prefix("-> "));
    let numbers = |place: &str| -> Option<[u32; 4]> {
        let numbers = place.split_whitespace().skip(1).map(|word| word.parse().ok());
        numbers.collect::<Option<Vec<_>>>()?.try_into().ok()
    };
    places.filter_map(numbers).collect()
}

#[test]
fn caps_are_enforced_corrected_and_lifted() {
    Lab::default().with_program().run(|| {
        quiet();
        // 10 requests a second each.
        let site = Site::start(&[Server::default(); SERVERS]);
        let addresses = site.servers().addresses().to_vec();
        let lines = "dataplane = \"ipvs\"\noverload = { mode = \"protect\" }";
        let configuration = virtual_server(Site::LISTEN, &addresses, lines, "")
            .replace("real_server]]", &format!("real_server]]\nmax_connections = {CAP}"));
        let director = site.launch().start(&configuration);
        let in_service = |places: &[Place]| places.iter().filter(|place| place.weight > 0).count();
        let wait_until = |what: &str, is_so: &dyn Fn(&Site) -> bool| {
            wait_for(what, PATIENCE, || is_so(&site).then_some(()));
        };
        wait_until("all servers to be in service", &|site| in_service(&site.places()) == SERVERS);

        let is_over = AtomicBool::new(false);
        let (answers, fullest) = std::thread::scope(|scope| {
            let looks = scope.spawn(|| {
                let mut fullest = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let places = site.places();
                    assert_eq!(in_service(&places), SERVERS);
                    fullest = places.iter().map(|place| place.active).max().max(Some(fullest)).unwrap();
                    std::thread::sleep(Duration::from_millis(100));
                }
                fullest
            });
            let answers = site.run(&[Phase { rate: 60.0, seconds: 15 }], 7);
            is_over.store(true, Ordering::Relaxed);
            (answers, looks.join().unwrap())
        });
        println!("at most {fullest} at a server\n{answers}");
        // They would have 60 each, and more entries in the table for two minutes than ten caps allow.
        assert!(fullest <= 3 * CAP, "{fullest}");
        assert!(answers.rate(0, 3) > 12.0, "{answers}");
        let inactive = site.places().iter().map(|place| place.inactive).min();
        assert!(inactive > Some(5 * CAP), "{inactive:?}");

        // Room for as many as the cap allows, when all is quiet; whatever others do.
        let is_right = |site: &Site| {
            let thresholds = thresholds(site);
            thresholds.len() == SERVERS
                && thresholds.iter().all(|[upper, lower, active, inactive]| {
                    let room = i64::from(*upper) - i64::from(*inactive);
                    upper == lower && *active == 0 && (1..=i64::from(CAP)).contains(&room)
                })
        };
        wait_until("thresholds as the cap wants them", &is_right);
        let (service, server) = (Site::LISTEN.to_string(), addresses[0].to_string());
        let edit = ["-e", "-t", &service, "-r", &server, "-m", "-w", "1", "-x", "1"];
        site.on_director(|| ipvsadm(&edit));
        wait_until("thresholds as they were", &is_right);

        // A killed director leaves them; its successor has them follow again.
        director.signal("KILL");
        drop(director);
        site.on_director(|| ipvsadm(&edit));
        let mut director = site.launch().start(&configuration);
        wait_until("thresholds of the successor", &is_right);

        director.signal("TERM");
        assert!(director.wait(PATIENCE).success());
        assert!(thresholds(&site).iter().all(|[upper, lower, ..]| (*upper, *lower) == (0, 0)));
        assert_eq!(in_service(&site.places()), SERVERS, "on_stop = \"keep\"");
    });
}
