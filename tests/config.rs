//! Whole files: every example is right, and every malformed configuration gets exactly its expected output.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::{env, fs};

use tidegate::config;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn configurations(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

#[test]
fn examples_are_right() {
    let mut paths = configurations(&folder("examples"));
    paths.extend(
        ["many/tidegate.toml", "pair/lb1.toml", "pair/lb2.toml"].map(|it| folder("examples").join(it)),
    );
    for path in paths {
        let model = config::load(&path).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(!model.virtual_servers.is_empty(), "{}", path.display());
    }
}

/// Else they would not take over from one another, or serve something else afterwards.
#[test]
fn the_pair_of_directors_goes_together() {
    let [one, two] = ["lb1", "lb2"]
        .map(|it| config::load(&folder("examples/pair").join(it).with_extension("toml")).unwrap());
    assert_eq!(one.virtual_servers, two.virtual_servers);
    assert_eq!(one.watches, two.watches);
    for (one, two) in one.virtual_routers.iter().zip(&two.virtual_routers) {
        assert_eq!(one.holding, two.holding);
        assert!(one.router.priority > two.router.priority);
        assert_eq!((one.router.router_id, one.router.interval), (two.router.router_id, two.router.interval));
    }
}

#[test]
fn included_virtual_servers_are_loaded_with_the_defaults() {
    let model = config::load(&folder("examples/many/tidegate.toml")).unwrap();
    let names: Vec<&str> = model.virtual_servers.iter().map(|server| &*server.name).collect();
    assert_eq!(names, ["forum", "mail", "wiki"]);
    let checks: Vec<&str> = model.virtual_servers.iter().map(|server| &*server.checks[0].name).collect();
    assert_eq!(checks, ["http", "tcp", "http"]);
}

/// Compares with `NAME.expected`; `UPDATE_EXPECTED=1` writes it instead.
#[test]
fn malformed_configurations_are_told_exactly() {
    let folder = folder("integration/malformed");
    let prefix = format!("{}/", folder.display());
    let mut paths = configurations(&folder);
    paths.extend(configurations(&folder.join("includes")));
    assert!(paths.len() >= 20);
    let mut wrong = Vec::new();
    for path in paths {
        let mistakes = config::load(&path).expect_err(&path.display().to_string());
        let told = format!("{mistakes}\n").replace(&prefix, "");
        let expected = path.with_extension("expected");
        if env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected, &told).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if told != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- told\n{told}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
