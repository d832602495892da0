//! Counters with one writer: each thread has its own cells, in its own cache line, and whoever reads sums.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Written by one thread, read by any.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    /// A plain load and store: there is only one writer, so nothing can come between them.
    pub(crate) fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(amount), Ordering::Relaxed);
    }

    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One set of cells for each thread, made when one of them has something to count: on a large machine they are most of
/// what a destination holds.
#[derive(Debug)]
pub(crate) struct PerThread<T> {
    threads: usize,
    lines: OnceLock<Box<[Line<T>]>>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line<T>(T);

impl<T: Default> PerThread<T> {
    pub(crate) fn new(threads: usize) -> PerThread<T> {
        PerThread { threads, lines: OnceLock::new() }
    }

    pub(crate) fn of(&self, thread: usize) -> &T {
        let lines = || (0..self.threads).map(|_| Line::default()).collect();
        &self.lines.get_or_init(lines)[thread].0
    }

    pub(crate) fn sum(&self, cell: impl Fn(&T) -> &Cell) -> u64 {
        self.lines.get().into_iter().flatten().map(|line| cell(&line.0).read()).sum()
    }
}
