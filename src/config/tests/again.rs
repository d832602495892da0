use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::with;
use crate::config::{Loader, Model, load};

/// One of several virtual servers, all right together.
fn numbered(number: usize, keys: &str) -> String {
    let name = format!("\"v{number}\"");
    with(keys).replace("\"web\"", &name).replace("192.0.2.10:80", &format!("192.0.2.10:{}", number + 1))
}

/// A loader and the folder that it reads.
struct Bench {
    folder: TempDir,
    loader: Loader,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), loader: Loader::default() }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// As a reading that knows nothing does it.
    fn load(&mut self) -> Result<Model, String> {
        let main = self.folder.path().join("main.toml");
        let again = self.loader.load(&main).map_err(|mistakes| mistakes.to_string());
        assert_eq!(again, load(&main).map_err(|mistakes| mistakes.to_string()));
        again
    }
}

fn same(before: &Model, after: &Model) -> Vec<bool> {
    let pairs = before.virtual_servers.iter().zip(&after.virtual_servers);
    pairs.map(|(before, after)| Arc::ptr_eq(before, after)).collect()
}

#[test]
fn what_has_changed_is_read_anew() {
    let mut bench = Bench::new();
    let head = "include = \"*.inc\"\n[defaults.check]\nrise = 4\n";
    bench.write("main.toml", &(head.to_owned() + &numbered(0, "") + &numbered(1, "")));
    bench.write("two.inc", &numbered(2, ""));
    let first = bench.load().unwrap();

    bench.write("main.toml", &(head.to_owned() + &numbered(0, "") + &numbered(1, "hysteresis = 0")));
    let second = bench.load().unwrap();
    assert_eq!(same(&first, &second), [true, false, true]);

    bench.write("main.toml", &(head.replace('4', "5") + &numbered(0, "") + &numbered(1, "hysteresis = 0")));
    let third = bench.load().unwrap();
    assert_eq!(same(&second, &third), [false, false, false], "each has the defaults of the main file");
    assert_eq!(third.virtual_servers[2].checks[0].rise, 5);
}

#[test]
fn a_mistake_is_told_where_it_is_and_what_was_known_stays_known() {
    let mut bench = Bench::new();
    bench.write("main.toml", &(numbered(0, "") + &numbered(1, "")));
    let first = bench.load().unwrap();

    bench.write("main.toml", &(numbered(0, "") + &numbered(1, "") + &numbered(0, "quorum = 1")));
    let mistakes = bench.load().unwrap_err();
    assert!(mistakes.contains("there is a virtual server named \"v0\" already"), "{mistakes}");

    bench.write("main.toml", &(numbered(0, "") + &numbered(1, "")));
    assert_eq!(same(&first, &bench.load().unwrap()), [true, true]);
}

#[test]
fn a_file_that_a_check_needs_is_looked_at_each_time() {
    let mut bench = Bench::new();
    bench.write("main.toml", &numbered(0, "check = { type = \"https\", ca_file = \"ca.pem\" }"));
    bench.write("ca.pem", include_str!("ca.pem"));
    bench.load().unwrap();
    bench.write("ca.pem", "garbage");
    assert!(bench.load().unwrap_err().contains("no certificate in PEM format in it"));

    let check = "check = { type = \"imap\", user = \"probe\", password_file = \"secret\" }";
    bench.write("main.toml", &numbered(0, check));
    bench.write("secret", "one");
    let first = bench.load().unwrap();
    bench.write("secret", "two");
    assert_ne!(first, bench.load().unwrap());

    bench.write("ca.pem", include_str!("ca.pem"));
    bench.write("main.toml", &("[defaults.check]\nca_file = \"ca.pem\"\n".to_owned() + &numbered(0, "")));
    let first = bench.load().unwrap();
    assert_eq!(same(&first, &bench.load().unwrap()), [false], "the defaults may come from the file");
}

proptest! {
    /// [`Bench::load`] compares.
    #[test]
    fn reading_again_is_reading(
        texts in prop::collection::vec(prop::collection::vec(0_usize..9, 0..6), 1..5),
    ) {
        let mut bench = Bench::new();
        for order in texts {
            let piece = |which: &usize| match which {
                0 => "[defaults.check]\nrise = 9\n".to_owned(),
                1 => "# [[virtual_server]]\n\n".to_owned(),
                2 => "quorum = 7\n".to_owned(),
                3 => "[virtual_server.check]\ntype = \"http\"\n".to_owned(),
                4 => "a = '''\n'''\n".to_owned(),
                number => numbered(*number, ""),
            };
            bench.write("main.toml", &order.iter().map(piece).collect::<String>());
            let _right_or_wrong = bench.load();
        }
    }
}
