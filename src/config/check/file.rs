//! `type = "file"`

use tidegate_checkers::{FileMeaning, FileSpec, Spec};

use crate::config::reader::Table;
use crate::config::show;
use crate::config::values::{one_of, text_that};

pub(super) const KEYS: [&str; 2] = ["path", "meaning"];

const MEANINGS: [(&str, FileMeaning); 2] =
    [("maintenance", FileMeaning::Maintenance), ("weight", FileMeaning::Weight)];

/// None without a path.
pub(super) fn read(table: &mut Table<'_>) -> Option<Spec> {
    let path = table.require("path", text_that(is_path, "an absolute path"));
    let meaning = table.take("meaning", one_of(&MEANINGS)).map_or(FileMeaning::Maintenance, |it| it.value);
    Some(Spec::File(Box::new(FileSpec { path: path?.value, meaning })))
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() <= 4096 && !text.contains(char::is_control)
}

/// The answers of [`super::question`].
pub(super) fn question(spec: &FileSpec) -> Vec<(&'static str, String)> {
    let meaning = MEANINGS.iter().find(|(_, meaning)| *meaning == spec.meaning).map_or("", |(word, _)| word);
    vec![("path", show::quoted(&spec.path)), ("meaning", meaning.to_owned())]
}
