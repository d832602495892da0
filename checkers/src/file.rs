//! A file of the director's own that says how a real server is, for operators and other programs to write.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::{Advice, Outcome, Target, text};

/// The highest weight there is.
const MOST: u32 = 65_535;

/// A file, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileSpec {
    /// Its path, in which `{address}` and `{port}` stand for the real server's.
    pub path: String,
    /// What it means.
    pub meaning: FileMeaning,
}

/// What a file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileMeaning {
    /// As long as it is there, the server gets no new connections.
    Maintenance,
    /// It contains the server's weight; without it the weight is as configured.
    Weight,
}

/// Looks at the file. It may be on a disk that is slow, or on another machine.
pub(crate) async fn look(spec: &FileSpec, target: &Target) -> Outcome {
    let (path, meaning) = (spec.path(target), spec.meaning);
    let looked = tokio::task::spawn_blocking(move || match meaning {
        FileMeaning::Maintenance => maintenance(&path),
        FileMeaning::Weight => weight(&path),
    });
    looked.await.unwrap_or_else(|_| Outcome::NotRun("the thread that reads the file has died".to_owned()))
}

impl FileSpec {
    fn path(&self, target: &Target) -> PathBuf {
        let (address, port) = (target.address.ip().to_string(), target.address.port().to_string());
        self.path.replace("{address}", &address).replace("{port}", &port).into()
    }
}

fn maintenance(path: &Path) -> Outcome {
    match path.try_exists() {
        Ok(true) => Outcome::Advised(format!("{} is there", path.display()), Advice::Weight(0)),
        Ok(false) => Outcome::Passed(String::new()),
        Err(error) => Outcome::NotRun(format!("{}: {error}", path.display())),
    }
}

fn weight(path: &Path) -> Outcome {
    match read(path) {
        Ok(written) => weight_of(&written, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Outcome::Passed(String::new()),
        Err(error) => Outcome::NotRun(format!("{}: {error}", path.display())),
    }
}

pub(crate) fn weight_of(written: &[u8], path: &Path) -> Outcome {
    let number = std::str::from_utf8(written).ok().and_then(|text| text.trim().parse().ok());
    match number.filter(|weight| *weight <= MOST) {
        Some(weight) => Outcome::Advised(format!("weight {weight}"), Advice::Weight(weight)),
        None => {
            let written = text::quote(written);
            Outcome::NotRun(format!("{}: {written} is no weight from 0 to {MOST}", path.display()))
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe must not wait for its writer.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut written = Vec::new();
    file.take(64).read_to_end(&mut written)?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target { address: "192.0.2.1:80".parse().unwrap(), bind: None, fwmark: None }
    }

    #[tokio::test]
    async fn what_is_written_is_the_weight() {
        let directory = tempfile::tempdir().unwrap();
        let path = format!("{}/{{address}}-{{port}}", directory.path().display());
        let spec = FileSpec { path, meaning: FileMeaning::Weight };
        assert_eq!(look(&spec, &target()).await, Outcome::Passed(String::new()));
        let file = directory.path().join("192.0.2.1-80");
        std::fs::write(&file, " 7\n").unwrap();
        let advised = Outcome::Advised("weight 7".to_owned(), Advice::Weight(7));
        assert_eq!(look(&spec, &target()).await, advised);
        for wrong in ["", "-1", "65536", "7 8", "x\u{1b}[2J"] {
            std::fs::write(&file, wrong).unwrap();
            let outcome = look(&spec, &target()).await;
            assert!(matches!(&outcome, Outcome::NotRun(why) if why.contains("is no weight")), "{outcome:?}");
        }
        // A gigabyte, of which only the beginning is read.
        File::create(&file).unwrap().set_len(1 << 30).unwrap();
        let outcome = look(&spec, &target()).await;
        assert!(matches!(&outcome, Outcome::NotRun(why) if why.len() < 400), "{outcome:?}");
    }

    #[tokio::test]
    async fn maintenance_is_a_file_that_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out").display().to_string();
        let spec = FileSpec { path: path.clone(), meaning: FileMeaning::Maintenance };
        assert_eq!(look(&spec, &target()).await, Outcome::Passed(String::new()));
        std::fs::write(&path, "").unwrap();
        let advised = Outcome::Advised(format!("{path} is there"), Advice::Weight(0));
        assert_eq!(look(&spec, &target()).await, advised);
    }

    #[tokio::test]
    async fn what_is_no_file_is_not_waited_for() {
        let spec = FileSpec { path: "/dev/zero".to_owned(), meaning: FileMeaning::Weight };
        assert_eq!(look(&spec, &target()).await, Outcome::NotRun("/dev/zero: not a regular file".to_owned()));
    }
}
