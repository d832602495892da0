use std::path::Path;

use super::*;
use crate::config;

fn model(interval: &str, servers: [&str; 2]) -> Model {
    let mut text = format!("[defaults.check]\ntype = \"tcp\"\ninterval = \"{interval}\"\n");
    for (name, port) in [("a", 81), ("b", 82)] {
        text += &format!("[[virtual_server]]\nname = \"{name}\"\nlisten = \"192.0.2.1:{port}\"\n");
        for server in servers {
            text += &format!("[[virtual_server.real_server]]\naddress = \"{server}\"\n");
        }
    }
    config::parse(Path::new("test.toml"), &text).unwrap()
}

fn ids(config: &engine::Config) -> Vec<Vec<u64>> {
    let pool = |it: &engine::VirtualServer| it.real_servers.iter().map(|server| server.probes[0].0).collect();
    config.virtual_servers.iter().map(pool).collect()
}

/// Probes and the configuration that they were last assigned.
struct Bench {
    probes: Probes,
    model: Model,
}

impl Bench {
    fn new() -> Self {
        let director = model("2s", ["10.0.0.1:80", "10.0.0.2:80"]).director;
        Self { probes: Probes::default(), model: Model { director, ..Model::default() } }
    }

    fn assign(&mut self, interval: &str, servers: [&str; 2]) -> (Arc<Vec<Arc<Probe>>>, engine::Config) {
        let before = std::mem::replace(&mut self.model, model(interval, servers));
        self.probes.assign(&before, &self.model, &self.model.kept(&before))
    }
}

#[test]
fn one_question_is_asked_once_for_all_who_want_to_know() {
    let (probes, config) = Bench::new().assign("2s", ["10.0.0.1:80", "10.0.0.2:80"]);

    assert_eq!(probes.len(), 2);
    let ids = ids(&config);
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0][0], ids[0][1]);
}

/// A host is asked once for all of its ports.
#[test]
fn a_host_has_no_port() {
    let text = "[defaults.check]\ntype = \"ping\"\n[[virtual_server]]\nname = \"a\"\nlisten = \
                \"192.0.2.1:80\"\nreal_server = [{ address = \"10.0.0.1:80\" }, { address = \"10.0.0.1:81\" }]\n";
    let mut bench = Bench::new();
    let model = config::parse(Path::new("test.toml"), text).unwrap();
    let (probes, _) = bench.probes.assign(&bench.model, &model, &model.kept(&bench.model));
    assert_eq!(probes.len(), 1);
}

#[test]
fn an_id_lives_as_long_as_its_question_and_is_never_used_again() {
    let mut bench = Bench::new();
    let (_, first) = bench.assign("2s", ["10.0.0.1:80", "10.0.0.2:80"]);
    let (asked, same) = bench.assign("2s", ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!((asked.len(), same.virtual_servers.len()), (2, 0), "both virtual servers are kept");

    let (asked, moved) = bench.assign("2s", ["10.0.0.2:80", "10.0.0.3:80"]);
    assert_eq!(ids(&moved)[0][0], ids(&first)[0][1], "the server that stays keeps its probe");
    assert!(ids(&moved)[0][1] > ids(&first)[0][1]);
    assert_eq!(asked.iter().map(|probe| probe.id).collect::<Vec<_>>(), ids(&moved)[0]);
    assert_eq!(bench.probes.target(ids(&first)[0][0]), None, "nobody asks for it any more");

    let (_, slower) = bench.assign("3s", ["10.0.0.1:80", "10.0.0.2:80"]);
    let before: Vec<u64> = ids(&first).into_iter().chain(ids(&moved)).flatten().collect();
    assert!(ids(&slower).into_iter().flatten().all(|id| !before.contains(&id)));
}

#[test]
fn a_probe_lives_until_the_last_who_asks_has_gone() {
    let mut bench = Bench::new();
    let (asked, _) = bench.assign("2s", ["10.0.0.1:80", "10.0.0.2:80"]);
    let mut one = bench.model.clone();
    one.virtual_servers.pop();
    let kept = one.kept(&bench.model);
    assert_eq!(kept.len(), 1);

    let (still, config) = bench.probes.assign(&bench.model, &one, &kept);
    assert_eq!((&still, config), (&asked, engine::Config::default()));

    let none = Model { virtual_servers: Vec::new(), ..one.clone() };
    let (nothing, _) = bench.probes.assign(&one, &none, &none.kept(&one));
    assert!(nothing.is_empty() && bench.probes.known.is_empty());
}
