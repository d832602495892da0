use std::path::Path;

use proptest::prelude::*;

use super::{read, with};
use crate::config::{load, split};

const SAMPLES: [&str; 7] = [
    include_str!("../../../examples/web.toml"),
    include_str!("../../../examples/https.toml"),
    include_str!("../../../examples/udp-dns.toml"),
    include_str!("../../../examples/radius.toml"),
    include_str!("../../../examples/ipvs.toml"),
    include_str!("../../../integration/malformed/many-at-once.toml"),
    include_str!("../../../integration/malformed/many-of-ipvs.toml"),
];

/// Reading does not panic, and whatever is wrong is so in a line that exists.
fn survives(text: &str) {
    let Err(mistakes) = read(text) else { return };
    assert!(mistakes.total() >= mistakes.shown().len() && !mistakes.shown().is_empty());
    for mistake in mistakes.shown() {
        let line = text.split('\n').nth(mistake.line - 1);
        let columns = line.expect("the line exists").chars().count();
        assert!((1..=columns + 1).contains(&mistake.column), "{mistake}");
        assert!(!mistake.message.contains('\n'), "{mistake}");
    }
    assert!(!mistakes.to_string().is_empty());
}

proptest! {
    #[test]
    fn any_text(text in "\\PC*") {
        survives(&text);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(&String::from_utf8_lossy(&bytes));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        if let Err(mistakes) = load(file.path()) {
            prop_assert!(!mistakes.to_string().is_empty());
        }
    }

    #[test]
    fn anything_like_toml(text in "([\\[\\]{}=.,#\"'\n a-c0]|\\[\\[virtual_server\\]\\]\n|\\[virtual_server.check\\]\n|name|\"\"\"){0,60}") {
        survives(&text);
    }

    #[test]
    fn mutations_of_what_is_right(
        sample in prop::sample::select(&SAMPLES[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..20, "[\\PC\n]{0,4}"), 1..4),
    ) {
        let mut text: Vec<char> = sample.chars().collect();
        for (at, length, put) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, put.chars());
        }
        survives(&text.into_iter().collect::<String>());
    }

    #[test]
    fn cutting_changes_nothing(
        order in prop::collection::vec(prop::sample::select(vec![
            "[director]\nid = \"a\"\n", "[defaults.check]\nrise = 9\n", "# [[virtual_server]]\n",
            "[[virtual_server.real_server]]\naddress = \"10.0.0.9:1\"\n", "VS", "VS", "VS",
            "[virtual_server.check]\ntype = \"http\"\n", "[director.log]\n", "quorum = 1\n", " [[virtual_server]]\n",
        ]), 0..8),
    ) {
        let mut text = String::new();
        for (i, piece) in order.iter().enumerate() {
            if *piece == "VS" {
                text += &with("").replace("\"web\"", &format!("\"v{i}\"")).replace(":80\"", &format!(":{}\"", i + 1));
                // Tables of a list cannot be extended: write them as tables.
                text = text.replace("real_server = [{ address = \"10.1.0.2:8080\" }]\n", "sorry_server = \"10.1.0.2:8080\"\n");
            } else {
                text += piece;
            }
        }
        // A comment with the mark of a string over several lines keeps the text whole.
        let whole = format!("{text}\n# '''");
        prop_assert!(split::split(&whole).is_none());
        match (read(&text), read(&whole)) {
            (Ok(a), Ok(b)) => prop_assert_eq!(a, b),
            (Err(a), Err(b)) => prop_assert_eq!(a.to_string(), b.to_string()),
            (a, b) => prop_assert!(false, "{}\n{:?}\n{:?}", text, a, b),
        }
    }
}

#[test]
fn nothing_nests_too_deep() {
    for (open, close) in [("[", "]"), ("{a=", "}"), ("a.", "a = 1")] {
        let text = format!("x = {}1{}", open.repeat(100_000), close.repeat(100_000));
        survives(&text);
        survives(&text.replacen("x = ", "", 1));
    }
    survives(&format!("[{}a]", "a.".repeat(100_000)));
    assert!(load(Path::new("/")).is_err());
}
