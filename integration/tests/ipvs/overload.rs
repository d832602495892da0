//! Caps in the site's table: enforced while the director runs, corrected by a successor, lifted by one that stops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate_integration::clock::{now, wait_for};
use tidegate_integration::director::Director;
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

/// With more lines for each of the servers.
fn configuration(site: &Site, mode: &str, lines: &str) -> String {
    let head = format!("dataplane = \"ipvs\"\noverload = {{ mode = \"{mode}\" }}");
    let configuration = virtual_server(Site::LISTEN, site.servers().addresses(), &head, "");
    configuration.replace("real_server]]", &format!("real_server]]\n{lines}"))
}

/// A director of three servers, good for 10 requests a second each.
fn start(site: &Site, configuration: &str) -> Director {
    let director = site.launch().start(configuration);
    wait_for("all servers to be in service", PATIENCE, || {
        (in_service(&site.places()) == SERVERS).then_some(())
    });
    director
}

fn in_service(places: &[Place]) -> usize {
    places.iter().filter(|place| place.weight > 0).count()
}

#[test]
fn a_server_that_does_nothing_but_refuse_is_out_soon() {
    Lab::default().with_program().run(|| {
        quiet();
        let site = Site::start(&[Server::default(); SERVERS]);
        let director = start(&site, &configuration(&site, "protect", ""));
        std::thread::scope(|scope| {
            let clients = scope.spawn(|| site.run(&[Phase { rate: 15.0, seconds: 25 }], 7));
            std::thread::sleep(Duration::from_secs(5));
            site.servers().kill(0);
            // The kernel counts its resets as answers. Three failures, 2 s apart, and then some silence.
            director.wait_for_state("web", &site.servers().addresses()[0].to_string(), "down");
            let killed = now();
            while !clients.is_finished() {
                let serve = in_service(&site.places());
                assert!(serve >= SERVERS - 1);
                assert!(serve < SERVERS || killed.elapsed() < Duration::from_secs(10));
                std::thread::sleep(Duration::from_millis(200));
            }
            let answers = clients.join().unwrap();
            assert!(answers.rate(0, 18) > 1.0, "{answers}");
        });
    });
}

#[test]
fn caps_are_enforced_corrected_and_lifted() {
    Lab::default().with_program().run(|| {
        quiet();
        let site = Site::start(&[Server::default(); SERVERS]);
        let [protect, off] =
            ["protect", "off"].map(|mode| configuration(&site, mode, &format!("max_connections = {CAP}")));
        let director = start(&site, &protect);
        let wait_until = |what: &str, is_so: &dyn Fn(&Site) -> bool| {
            wait_for(what, PATIENCE, || is_so(&site).then_some(()));
        };

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
        // They would have 60 each; and were thresholds the caps, they would be shut for two minutes after six.
        assert!(fullest <= 3 * CAP, "{fullest}");
        let inactive = site.places().iter().map(|place| place.inactive).min();
        assert!(inactive > Some(2 * CAP), "{inactive:?}");

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
        let (service, server) = (Site::LISTEN.to_string(), site.servers().addresses()[0].to_string());
        let edit = ["-e", "-t", &service, "-r", &server, "-m", "-w", "1", "-x", "1"];
        site.on_director(|| ipvsadm(&edit));
        wait_until("thresholds as they were", &is_right);

        director.reload(&off);
        let are =
            |upper: u32| move |site: &Site| thresholds(site).iter().all(|it| (it[0], it[1]) == (upper, 0));
        wait_until("the configured thresholds", &are(CAP));
        director.reload(&protect);
        wait_until("thresholds that follow again", &is_right);

        // A killed director leaves them; its successor has them follow again.
        director.signal("KILL");
        drop(director);
        site.on_director(|| ipvsadm(&edit));
        let mut director = start(&site, &protect);
        wait_until("thresholds of the successor", &is_right);

        director.signal("TERM");
        assert!(director.wait(PATIENCE).success());
        assert!(are(0)(&site), "{:?}", thresholds(&site));
        assert_eq!(in_service(&site.places()), SERVERS, "on_stop = \"keep\"");
    });
}
