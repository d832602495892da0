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

#[test]
fn one_question_is_asked_once_for_all_who_want_to_know() {
    let (probes, config) = Probes::default().assign(&model("2s", ["10.0.0.1:80", "10.0.0.2:80"]));

    assert_eq!(probes.len(), 2);
    let ids = ids(&config);
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0][0], ids[0][1]);
}

#[test]
fn an_id_lives_as_long_as_its_question_and_is_never_used_again() {
    let mut probes = Probes::default();
    let (_, first) = probes.assign(&model("2s", ["10.0.0.1:80", "10.0.0.2:80"]));
    let (_, same) = probes.assign(&model("2s", ["10.0.0.1:80", "10.0.0.2:80"]));
    assert_eq!(first, same);

    let (_, moved) = probes.assign(&model("2s", ["10.0.0.2:80", "10.0.0.3:80"]));
    assert_eq!(ids(&moved)[0][0], ids(&first)[0][1], "the server that stays keeps its probe");
    assert!(ids(&moved)[0][1] > ids(&first)[0][1]);

    let (_, slower) = probes.assign(&model("3s", ["10.0.0.1:80", "10.0.0.2:80"]));
    let before: Vec<u64> = ids(&first).into_iter().chain(ids(&moved)).flatten().collect();
    assert!(ids(&slower).into_iter().flatten().all(|id| !before.contains(&id)));
}
