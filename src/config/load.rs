//! Files: the main one and those it includes.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::place::{Notes, Place};

/// All files together, in bytes: six times the text of 37,000 real servers.
const TOTAL_SIZE: u64 = 16 << 20;
/// Files that include files that include files.
const DEPTH: usize = 16;
const FILES: usize = 10_000;

/// The texts that were read, by number, and who included whom.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) texts: Vec<(PathBuf, String)>,
    /// Device and inode.
    identities: Vec<(u64, u64)>,
    seen: BTreeSet<(u64, u64)>,
    size: u64,
}

impl Files {
    /// Reads one more file; the error says why not.
    ///
    /// A file that is not UTF-8 is noted at the first place where it is not, and read with replacements.
    pub(super) fn read(&mut self, path: &Path, stack: &[u32], notes: &Notes) -> Result<u32, String> {
        let reason = |error: io::Error| error.to_string();
        let file = open(path).map_err(reason)?;
        let metadata = file.metadata().map_err(reason)?;
        let identity = (metadata.dev(), metadata.ino());
        if stack.iter().any(|it| self.identities.get(*it as usize) == Some(&identity)) {
            return Err("it includes itself".to_owned());
        }
        if !self.seen.insert(identity) {
            return Err("it is included already".to_owned());
        }
        if stack.len() >= DEPTH {
            return Err(format!("includes are more than {DEPTH} deep"));
        }
        if self.texts.len() >= FILES {
            return Err(format!("there are more than {FILES} files"));
        }
        let left = TOTAL_SIZE - self.size;
        // In one go: to grow is to move.
        let mut bytes = Vec::with_capacity(metadata.len().min(left) as usize + 1);
        self.size += file.take(left + 1).read_to_end(&mut bytes).map_err(reason)? as u64;
        if self.size > TOTAL_SIZE {
            self.size = TOTAL_SIZE;
            return Err(format!("the configuration is larger than {} MiB", TOTAL_SIZE >> 20));
        }
        let number = self.add(path, String::new());
        self.identities.push(identity);
        self.texts[number as usize].1 = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let start = u32::try_from(error.utf8_error().valid_up_to()).unwrap_or(u32::MAX);
                notes.add_syntax(Place { file: number, start, end: start + 1 }, "this is not UTF-8");
                String::from_utf8_lossy(error.as_bytes()).into_owned()
            }
        };
        Ok(number)
    }

    /// Adds a text that comes from no file.
    pub(super) fn add(&mut self, path: &Path, text: String) -> u32 {
        self.texts.push((path.to_owned(), text));
        // Bounded by FILES.
        u32::try_from(self.texts.len() - 1).unwrap_or(u32::MAX)
    }
}

/// Opens a regular file for reading and never waits, as opening a FIFO would.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let no_wait = rustix::fs::OFlags::NONBLOCK.bits();
    let file = OpenOptions::new().read(true).custom_flags(no_wait.cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// The files that one entry of `include` names, in order: a path, or a pattern that may match nothing.
pub(super) fn expand(folder: &Path, entry: &str) -> Result<Vec<PathBuf>, String> {
    if !entry.contains(['*', '?', '[']) {
        return Ok(vec![folder.join(entry)]);
    }
    let base = folder.to_str().ok_or("patterns need a folder whose name is UTF-8")?;
    let pattern = Path::new(&glob::Pattern::escape(base)).join(entry);
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let paths = glob::glob_with(&pattern.to_string_lossy(), options).map_err(|error| error.to_string())?;
    paths.take(FILES + 1).map(|path| path.map_err(|error| error.to_string())).collect()
}
