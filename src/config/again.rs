//! What stands in a file as it stood at the last reading is not read anew.
//!
//! A virtual server is known by the digest of all that it comes from: its text, what is no virtual server in the main
//! file (the defaults are there), and the folder of its file. One whose reading has looked at other files, by itself or
//! for the defaults, is read anew.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::load::Files;
use super::place::{At, Notes, Place};
use super::{Context, Mistakes, Model, Reading, VirtualServer};

type Digest = [u8; 32];

/// Virtual servers in which nothing was wrong.
pub(super) type Known = HashMap<Digest, Arc<VirtualServer>>;

/// Reads a configuration again and again.
#[derive(Debug, Default)]
pub struct Loader {
    known: Known,
}

impl Loader {
    /// As [`load`](super::load) does, but quicker for what has not changed since the last time.
    pub fn load(&mut self, path: &Path) -> Result<Model, Mistakes> {
        let model = self.read(path);
        if model.is_ok() || self.known.is_empty() {
            return model;
        }
        // The places of what was not read anew are not exact enough for people.
        let mut anew = Self::default();
        let model = anew.read(path)?;
        *self = anew;
        Ok(model)
    }

    fn read(&mut self, path: &Path) -> Result<Model, Mistakes> {
        let notes = Notes::default();
        let mut files = Files::default();
        let mut reading = Reading::new(&notes, true, Again::new(&self.known));
        match files.read(path, &[], &notes) {
            Ok(main) => reading.file(&mut files, &[main]),
            Err(reason) => {
                let file = files.add(path, String::new());
                notes.add(Place { file, start: 0, end: 0 }, format!("cannot be read: {reason}"));
            }
        }
        let (model, known) = reading.finish();
        Mistakes::new(notes.into_inner(), &files.texts).map_or(Ok(()), Err)?;
        self.known = known;
        Ok(model)
    }
}

/// What one reading knows from the one before, and will leave to the next.
#[derive(Debug)]
pub(super) struct Again<'k> {
    before: Option<&'k Known>,
    /// Those of this reading.
    pub(super) now: Known,
    surroundings: Sha256,
}

/// The digest of all but the text itself.
pub(super) struct Surroundings(Sha256);

impl<'k> Again<'k> {
    pub(super) fn new(before: &'k Known) -> Self {
        let now = Known::with_capacity(before.len());
        Self { before: Some(before), now, surroundings: Sha256::new() }
    }

    /// Reads everything anew.
    pub(super) fn forget(&mut self) {
        self.before = None;
    }

    /// What of the main file is no virtual server.
    pub(super) fn surround<'t>(&mut self, texts: impl Iterator<Item = &'t str>) {
        texts.for_each(|text| self.surroundings.update(text));
    }

    /// Of the virtual servers in a file of this folder.
    pub(super) fn within(&self, folder: &Path) -> Surroundings {
        let digest = Sha256::new().chain_update(self.surroundings.clone().finalize());
        Surroundings(digest.chain_update(folder.as_os_str().as_bytes()).chain_update([0]))
    }

    /// The virtual server that was read from the same.
    pub(super) fn known(&mut self, digest: &Digest) -> Option<Arc<VirtualServer>> {
        let known = Arc::clone(self.before?.get(digest)?);
        self.now.insert(*digest, Arc::clone(&known));
        Some(known)
    }

    pub(super) fn remember(&mut self, digest: Digest, read: &Arc<VirtualServer>) {
        self.now.insert(digest, Arc::clone(read));
    }
}

impl Surroundings {
    pub(super) fn around(&self, text: &str) -> Digest {
        self.0.clone().chain_update(text).finalize().into()
    }
}

impl Context {
    /// Remembers what must be unique over all virtual servers, of one that was read before and stands here.
    pub(super) fn declare(&mut self, known: &VirtualServer, place: Place) {
        self.names.push(At { value: known.name.clone(), place });
        let kind = known.dataplane.kind();
        let listens =
            known.listen.iter().map(|listen| At { value: (*listen, kind, known.name.clone()), place });
        self.listens.extend(listens);
    }
}
