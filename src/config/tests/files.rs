use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

use super::with;
use crate::config::{Model, load, parse};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn load_main(folder: &TempDir) -> Result<Model, String> {
    load(&folder.path().join("main.toml")).map_err(|mistakes| mistakes.to_string())
}

fn named(name: &str, port: u16) -> String {
    with("")
        .replace("\"web\"", &format!("\"{name}\""))
        .replace("192.0.2.10:80", &format!("192.0.2.10:{port}"))
}

#[test]
fn patterns_are_relative_sorted_and_leave_hidden_files_alone() {
    let folder = folder(&[
        ("main.toml", "include = [\"sub[1]/*.toml\", \"nothing/*.toml\", \"one.toml\"]"),
        ("sub1/b.toml", &named("b", 2)),
        ("sub1/a.toml", "include = \"deeper/*.toml\""),
        ("sub1/deeper/c.toml", &named("c", 3)),
        ("sub1/.b.toml.swp", "not TOML"),
        ("sub1/.hidden.toml", "not TOML"),
        ("one.toml", &named("one", 1)),
    ]);
    let model = load_main(&folder).unwrap();
    let names: Vec<&str> = model.virtual_servers.iter().map(|server| &*server.name).collect();
    assert_eq!(names, ["b", "c", "one"]);
}

#[test]
fn a_folder_with_the_characters_of_a_pattern_is_a_folder() {
    let outer = folder(&[("a[b]*/main.toml", "include = \"*.inc\""), ("a[b]*/x.inc", &named("x", 1))]);
    let model = load(&outer.path().join("a[b]*/main.toml")).unwrap();
    assert_eq!(model.virtual_servers.len(), 1);
}

#[test]
fn includes_that_cannot_be() {
    for (include, because) in [
        ("vanished.toml", "No such file"),
        ("main.toml", "it includes itself"),
        ("loop.toml", "it includes itself"),
        ("*.toml", "it includes itself"),
        ("folder", "not a regular file"),
        ("a***b", "wildcards"),
        ("deep/0", "more than 16 deep"),
    ] {
        let folder = folder(&[
            ("main.toml", &format!("include = \"{include}\"")),
            ("loop.toml", "include = \"main.toml\""),
            ("folder/x", ""),
        ]);
        for depth in 0..20 {
            let path = folder.path().join(format!("deep/{depth}"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("include = \"{}\"", depth + 1)).unwrap();
        }
        let mistakes = load_main(&folder).unwrap_err();
        assert!(
            mistakes.contains(because) && mistakes.contains(":1:11: cannot include"),
            "{include}: {mistakes}"
        );
    }
}

#[test]
fn a_file_is_included_once() {
    let folder = folder(&[("main.toml", "include = [\"a.toml\", \"a*\"]"), ("a.toml", &named("a", 1))]);
    assert!(load_main(&folder).unwrap_err().contains("\"a.toml\": it is included already"));
}

#[test]
fn mistakes_over_several_files() {
    let folder = folder(&[
        ("main.toml", &format!("include = \"b.toml\"\n{}", named("same", 1))),
        ("b.toml", &named("same", 1)),
    ]);
    let mistakes = load_main(&folder).unwrap_err();
    let b = folder.path().join("b.toml");
    assert!(mistakes.contains(&format!("{}:2:8: there is a virtual server named \"same\"", b.display())));
    assert!(mistakes.contains(&format!("{}:3:10: virtual server \"same\" listens on", b.display())));
}

#[test]
fn a_fifo_is_refused_at_once() {
    let folder = folder(&[]);
    let path = folder.path().join("main.toml");
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert!(load_main(&folder).unwrap_err().ends_with("main.toml:1:1: cannot be read: not a regular file"));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = folder(&[("main.toml/x", "")]);
    assert!(load_main(&folder).unwrap_err().contains("not a regular file"));
    let vanished = folder.path().join(OsStr::from_bytes(b"vanished\xff"));
    assert!(load(&vanished).unwrap_err().to_string().contains("No such file"));
}

#[test]
fn too_much_text_is_refused() {
    let folder = folder(&[("main.toml", "include = \"large\"")]);
    let large = fs::File::create(folder.path().join("large")).unwrap();
    large.set_len(16 << 20).unwrap();
    assert!(load_main(&folder).unwrap_err().contains("larger than 16 MiB"));
}

#[test]
fn files_of_checks_are_relative_to_the_file_that_names_them() {
    let check = "check = { type = \"https\", ca_file = \"ca.pem\" }";
    let folder = folder(&[("main.toml", "include = \"sub/a.toml\""), ("sub/a.toml", &with(check))]);
    assert!(
        load_main(&folder).unwrap_err().contains("`ca_file` must be a file that can be used: No such file")
    );
    fs::write(folder.path().join("sub/ca.pem"), "garbage").unwrap();
    assert!(load_main(&folder).unwrap_err().contains("no certificate in PEM format in it"));
    fs::write(folder.path().join("sub/ca.pem"), include_str!("ca.pem")).unwrap();
    let model = load_main(&folder).unwrap();
    let spec = format!("{:?}", model.virtual_servers[0].checks[0].spec);
    assert!(spec.contains(&format!("{:?}", folder.path().join("sub/ca.pem"))), "{spec}");
}

#[test]
fn a_text_without_a_file_includes_nothing() {
    let mistakes = parse(Path::new("text"), "include = \"a\"").unwrap_err().to_string();
    assert!(mistakes.starts_with("text:1:11: a text that is not a file cannot include files"), "{mistakes}");
}
