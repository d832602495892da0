//! Passwords and the like: written, or in a file of their own that fewer people may read.

use std::io::Read;
use std::path::Path;

use tidegate_checkers::Secret;
use toml::de::DeValue;

use super::Context;
use super::load::open;
use super::place::At;
use super::reader::Table;
use super::values::{string, text};

/// The longest secret, in bytes.
const MOST: usize = 1024;

/// The secret that is written at `key` or is what the file at `file_key` contains, but for the end of its line.
pub(super) fn secret(
    table: &mut Table<'_>,
    key: &'static str,
    file_key: &'static str,
    context: &Context,
) -> Option<At<Secret>> {
    if table.has(key) && table.has(file_key) {
        table.refuse(file_key, format!("`{file_key}` and `{key}` exclude each other"));
        return table.take(key, written);
    }
    table.take(key, written).or_else(|| table.take(file_key, |value| in_file(value, context)))
}

fn written(value: &DeValue<'_>) -> Result<Secret, String> {
    // A message about a value quotes it, so the reasons here are without it.
    match string(value) {
        Ok(_) => text(MOST)(value).map(Secret::new),
        Err(_) => Err("must be a string".to_owned()),
    }
}

fn in_file(value: &DeValue<'_>, context: &Context) -> Result<Secret, String> {
    let name = text(4096)(value)?;
    let Some(folder) = context.folder() else { return Ok(Secret::default()) };
    read(&folder.join(name)).map(Secret::new).map_err(|why| format!("must be a file with a secret: {why}"))
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let size = open(path)
        .and_then(|file| file.take(MOST as u64 + 3).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    let secret = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let secret = secret.trim_end_matches(['\r', '\n']);
    match secret.len() {
        0 => Err("it is empty".to_owned()),
        _ if size > MOST => Err(format!("it has more than {MOST} bytes")),
        _ if secret.contains(char::is_control) => {
            Err("it has several lines or control characters".to_owned())
        }
        _ => Ok(secret.to_owned()),
    }
}
