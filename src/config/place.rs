//! Where something is written, and what was noted about it.

use std::cell::RefCell;
use std::ops::Range;

/// A range of bytes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The number of the file, in the order of reading.
    pub(super) file: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// A value and where it is written.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// A mistake whose line and column are not known yet; they are worked out for the few that are shown.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Note {
    pub(super) place: Place,
    /// Not TOML. Whatever else is said about the same line only follows from it.
    pub(super) syntax: bool,
    pub(super) message: String,
}

/// All mistakes so far. Shared by the readers of nested tables.
#[derive(Debug, Default)]
pub(super) struct Notes(RefCell<Vec<Note>>);

impl Notes {
    pub(super) fn add(&self, place: Place, message: impl Into<String>) {
        self.0.borrow_mut().push(Note { place, syntax: false, message: message.into() });
    }

    pub(super) fn add_syntax(&self, place: Place, message: impl Into<String>) {
        self.0.borrow_mut().push(Note { place, syntax: true, message: message.into() });
    }

    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    pub(super) fn into_inner(self) -> Vec<Note> {
        self.0.into_inner()
    }
}

/// One piece of a file that was parsed on its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) notes: &'a Notes,
    pub(super) file: u32,
    /// Where the piece begins in its file.
    pub(super) base: usize,
    /// Something in it is not TOML, so what seems to be missing may have been written.
    pub(super) broken: bool,
}

impl Part<'_> {
    /// `span` counts from the beginning of the piece.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        // Files are bounded far below 4 GiB.
        let offset = |at: usize| u32::try_from(self.base + at).unwrap_or(u32::MAX);
        Place { file: self.file, start: offset(span.start), end: offset(span.end) }
    }
}
